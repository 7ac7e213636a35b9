CREATE TABLE accounts (id TEXT PRIMARY KEY, balance INTEGER NOT NULL);
CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT NOT NULL DEFAULT 'pending', note TEXT);
CREATE TABLE items (order_id TEXT NOT NULL, name TEXT NOT NULL);
CREATE TABLE charges (number INTEGER PRIMARY KEY, id TEXT UNIQUE, amount INTEGER NOT NULL);
CREATE TABLE files (id INTEGER PRIMARY KEY, key TEXT NOT NULL, deleted_at TEXT);
INSERT INTO accounts VALUES ('a', 0), ('stock', 5);
INSERT INTO files VALUES (1, 'f1', NULL), (2, 'f2', NULL), (3, 'f3', NULL), (4, 'f4', NULL);
