-- +goose Up
ALTER TABLE api_keys ADD COLUMN first BOOLEAN NOT NULL DEFAULT FALSE; -- the one that the settings name
UPDATE api_keys SET first = TRUE WHERE name LIKE 'first key %';

-- +goose Down
ALTER TABLE api_keys DROP COLUMN first;
