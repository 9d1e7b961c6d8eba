-- +goose Up
ALTER TABLE sandboxes ADD COLUMN signing_key TEXT NOT NULL DEFAULT ''; -- for signed file addresses; made at the first question

-- +goose Down
ALTER TABLE sandboxes DROP COLUMN signing_key;
