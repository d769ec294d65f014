CREATE TABLE tickets (
  id int AUTO_INCREMENT PRIMARY KEY,
  title varchar(200) NOT NULL,
  UNIQUE (title)
);
