"""Statements as people and models write them; those of `OUTSIDE` the language sql leaves out, and why."""

USUAL = [
    "SELECT * FROM customers;",
    "select id, name from customers where country = 'DE' order by name limit 10",
    "SELECT DISTINCT city FROM customers WHERE city IS NOT NULL",
    "SELECT COUNT(*) FROM orders WHERE total > 100.50 AND status <> 'open'",
    (
        "SELECT c.name, SUM(o.total) AS revenue FROM customers AS c JOIN orders o ON c.id = o.customer_id\n"
        "GROUP BY c.id, c.name HAVING SUM(o.total) >= 1000 ORDER BY revenue DESC, c.name ASC LIMIT 5 OFFSET 10;"
    ),
    "SELECT a.*, b.x FROM a LEFT OUTER JOIN b ON a.id = b.a_id AND b.deleted = FALSE",
    "SELECT name FROM products WHERE price BETWEEN 10 AND 20 OR category IN ('toys', 'books')",
    "SELECT name FROM products WHERE id NOT IN (SELECT product_id FROM sales)",
    "SELECT name FROM people WHERE NOT EXISTS (SELECT 1 FROM orders WHERE orders.person_id = people.id)",
    "SELECT name FROM people WHERE name LIKE 'A%' AND name NOT LIKE '%z'",
    "SELECT CASE WHEN age < 18 THEN 'minor' WHEN age >= 65 THEN 'senior' ELSE 'adult' END AS bracket FROM people",
    "SELECT CASE status WHEN 1 THEN 'on' ELSE 'off' END FROM switches",
    "SELECT CAST(price AS INTEGER), CAST(x AS VARCHAR(10)) FROM t",
    "SELECT COALESCE(nickname, first_name || ' ' || last_name) FROM users",
    "SELECT AVG(x) OVER (PARTITION BY y ORDER BY z) AS running FROM t",
    "SELECT ROW_NUMBER() OVER (ORDER BY created_at DESC) FROM events",
    "WITH recent AS (SELECT * FROM orders WHERE placed > '2024-01-01') SELECT COUNT(*) FROM recent",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) SELECT i FROM n",
    "SELECT id FROM a UNION SELECT id FROM b UNION ALL SELECT id FROM c INTERSECT SELECT id FROM d",
    "SELECT id FROM a EXCEPT SELECT id FROM b ORDER BY 1",
    "SELECT t.total FROM (SELECT SUM(x) AS total FROM s GROUP BY y) AS t WHERE t.total > 5",
    "SELECT -x, x - -1, x * (y + 2) / 3 % 4 FROM t WHERE a = -5",
    "SELECT COUNT(DISTINCT user_id) FROM visits",
    "SELECT * FROM a, b WHERE a.id = b.id AND (a.x = 1 OR b.y = 2)",
    "SELECT * FROM a CROSS JOIN b",
    "SELECT * FROM a INNER JOIN b USING (id)",
    "SELECT * FROM a FULL OUTER JOIN b ON a.id = b.id",
    'SELECT "order"."group" FROM "order" WHERE "weird name" = 1',
    "SELECT 'it''s', 1e10, 2.5E-3, NULL, TRUE, CURRENT_DATE",
    "SELECT name FROM users WHERE id = :id AND email = ?",
    "SELECT MAX(price) FROM products GROUP BY category ORDER BY MAX(price) DESC NULLS LAST",
    "SELECT (SELECT MAX(x) FROM a) AS top, y FROM b",
    "SELECT date, key, year FROM calendar WHERE date(day) >= date('now', '-7 days')",
    "INSERT INTO users (id, name) VALUES (1, 'Ann'), (2, 'Bob');",
    "INSERT INTO log DEFAULT VALUES",
    "INSERT INTO archive SELECT * FROM orders WHERE year < 2020",
    "UPDATE users SET name = 'X', age = age + 1 WHERE id = 7",
    "DELETE FROM users WHERE last_login IS NULL",
    "DROP TABLE IF EXISTS old_users",
    (
        "CREATE TABLE IF NOT EXISTS users (\n  id INTEGER PRIMARY KEY,\n  name TEXT NOT NULL,\n"
        "  email VARCHAR(255) UNIQUE,\n  price DECIMAL(10, 2) DEFAULT 0,\n"
        "  team_id INTEGER REFERENCES teams(id),\n  CHECK (price >= 0),\n"
        "  FOREIGN KEY (team_id) REFERENCES teams (id)\n)"
    ),
]

OUTSIDE = {
    "a comment": "SELECT 1 -- one",
    "no white space before a keyword": "SELECT (1)FROM t",
    "other operators for bits and patterns": "SELECT a & b FROM t WHERE c GLOB 'x*'",
    "frames of windows": "SELECT SUM(x) OVER (ORDER BY y ROWS UNBOUNDED PRECEDING) FROM t",
    "conflict clauses": "INSERT INTO t (a) VALUES (1) ON CONFLICT DO NOTHING",
    "other statements": "CREATE INDEX i ON t (a)",
    "names in other quotes": "SELECT `a` FROM [t]",
    "a comparison of comparisons": "SELECT a = b = c FROM t",
    "clauses of other databases": "SELECT TOP 5 * FROM t",
    "dates as literals of their own": "SELECT INTERVAL '1 day'",
}
