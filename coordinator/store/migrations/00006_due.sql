-- +goose Up
-- The earliest time at which a sandbox may have to be stopped or deleted by itself; NULL for never. Rows from before are due at once: the clock then
-- computes their own times.
ALTER TABLE sandboxes ADD COLUMN due_at TIMESTAMP;
UPDATE sandboxes SET due_at = created_at;
CREATE INDEX sandboxes_due ON sandboxes (runner, due_at);
DROP INDEX sandboxes_runner; -- the new one begins with the same column

-- +goose Down
CREATE INDEX sandboxes_runner ON sandboxes (runner);
DROP INDEX sandboxes_due;
ALTER TABLE sandboxes DROP COLUMN due_at;
