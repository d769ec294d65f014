CREATE TABLE notes (
  id serial PRIMARY KEY,
  text text NOT NULL,
  written timestamptz NOT NULL DEFAULT now()
);
