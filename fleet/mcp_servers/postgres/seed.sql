CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT UNIQUE, plan TEXT, seats INTEGER, renewal TEXT);
INSERT INTO accounts (name, plan, seats, renewal) VALUES
  ('Northwind Health', 'enterprise', 420, '2026-01-31'),
  ('Harbor Freight Lines', 'team', 65, '2025-11-15'),
  ('Juniper Credit Union', 'enterprise', 180, '2025-09-30'),
  ('Atlas Robotics', 'pilot', 12, '2025-08-31');
CREATE TABLE invoices (account TEXT REFERENCES accounts (name), month TEXT, cents INTEGER);
INSERT INTO invoices VALUES
  ('Northwind Health', '2025-06', 1890000),
  ('Northwind Health', '2025-07', 1890000),
  ('Harbor Freight Lines', '2025-07', 227500),
  ('Juniper Credit Union', '2025-07', 810000);
