-- +goose Up
-- Signed preview links: their tokens' hashes. They end with their sandbox.
CREATE TABLE links (
	hash       TEXT PRIMARY KEY,
	sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
	port       INTEGER NOT NULL,
	until      TIMESTAMP NOT NULL
);
CREATE INDEX links_sandbox ON links (sandbox_id);
CREATE INDEX links_until ON links (until);

-- Ports that were opened at addresses of their own, to be opened again after a restart.
CREATE TABLE doors (
	sandbox_id TEXT NOT NULL REFERENCES sandboxes (id) ON DELETE CASCADE,
	port       INTEGER NOT NULL,
	PRIMARY KEY (sandbox_id, port)
);

-- +goose Down
DROP TABLE doors;
DROP TABLE links;
