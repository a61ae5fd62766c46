-- One comment; of two lines
/* and /* one; nested */ ; */
SELECT 1; SELECT 'a;b', 'it''s;' -- of a line;
, "x;y" FROM t;;
SELECT E'\';' || U&'d;' || B'1;';
SELECT $$a;b$$, $x$ $$ ; $x$, $1;
INSERT INTO t (a$b, c) VALUES (1, ';'), (2, '--;');
SELECT ARRAY[1, 2][1:2], 1::int, a -- last
