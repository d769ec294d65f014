INSERT IGNORE INTO tickets (title) VALUES ('Demo: the printer is on fire'), ('Demo: the coffee is cold');
