-- +goose Up
ALTER TABLE sandboxes ADD COLUMN forced BOOLEAN NOT NULL DEFAULT FALSE; -- the stop that is wanted kills at once
ALTER TABLE sandboxes ADD COLUMN seen INTEGER NOT NULL DEFAULT 0; -- number of the newest finding of its runner
ALTER TABLE sandboxes ADD COLUMN version INTEGER NOT NULL DEFAULT 0; -- counts the changes

-- Ids of deleted sandboxes, kept for a week: what a runner still has of one may be removed.
CREATE TABLE deleted_sandboxes (
	id         TEXT PRIMARY KEY,
	deleted_at TIMESTAMP NOT NULL
);
CREATE INDEX deleted_sandboxes_age ON deleted_sandboxes (deleted_at);

-- +goose Down
DROP TABLE deleted_sandboxes;
ALTER TABLE sandboxes DROP COLUMN version;
ALTER TABLE sandboxes DROP COLUMN seen;
ALTER TABLE sandboxes DROP COLUMN forced;
