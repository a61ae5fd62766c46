SELECT 1; SELECT 'a;b', "c;d", `e;f`;
-- a comment; with a semicolon
SELECT 2 # another; one
;
SELECT 3 /* a; b */, 'it''s', "say ""x""", `q``r`;
SELECT 4--1;
SELECT 'back\\slash', 'quote\';', "quote\";";
/*!40101 SET NAMES utf8mb4 */;
INSERT INTO t (a, b) VALUES (1, 'x
y;
z'), (2, NULL);;
SELECT 5
