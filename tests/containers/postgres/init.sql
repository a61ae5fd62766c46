-- The account every test uses: an ordinary one that may create databases and look at, and end, the
-- sessions of other accounts. It is deliberately no superuser.
CREATE ROLE dal LOGIN CREATEDB PASSWORD 'dal-test';
GRANT pg_monitor, pg_signal_backend TO dal;
CREATE DATABASE dal_test OWNER dal;
