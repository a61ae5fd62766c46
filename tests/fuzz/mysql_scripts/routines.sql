CREATE TABLE t (id BIGINT PRIMARY KEY, note VARCHAR(20) DEFAULT ';') ENGINE = InnoDB;
DELIMITER //
CREATE TRIGGER t_before BEFORE INSERT ON t FOR EACH ROW
BEGIN
        IF NEW.id < 0 THEN
                SET NEW.id = 1; -- one
        END IF;
END//
CREATE PROCEDURE p(IN n INT)
BEGIN
        WHILE n > 0 DO
                INSERT INTO t VALUES (n, 'a//b');
                SET n = n - 1;
        END WHILE;
END
//
DELIMITER ;
CALL p(3);
delimiter $$
SELECT 1; SELECT 2 $$
SELECT 3$$
delimiter ;
SELECT 4;
