-- Amber's storage database. Timestamps that the database writes are UTC text.

CREATE TABLE user_storage (
  user_id TEXT PRIMARY KEY,
  tier_gb INTEGER NOT NULL DEFAULT 0,
  additional_gb INTEGER DEFAULT 0,
  used_bytes INTEGER DEFAULT 0,
  created_at TEXT DEFAULT (datetime('now')),
  updated_at TEXT DEFAULT (datetime('now'))
);

CREATE TABLE storage_files (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES user_storage(user_id),
  r2_key TEXT NOT NULL UNIQUE,
  filename TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  product TEXT NOT NULL CHECK (product IN ('blog', 'ivy', 'profile', 'themes')),
  category TEXT NOT NULL,
  parent_id TEXT,
  metadata TEXT,
  created_at TEXT DEFAULT (datetime('now')),
  deleted_at TEXT
);

-- The order in which an export takes files: a page costs what it holds.
CREATE INDEX storage_files_by_age ON storage_files (user_id, COALESCE(created_at, ''), id);

CREATE TABLE storage_exports (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES user_storage(user_id),
  status TEXT DEFAULT 'pending'
    CHECK (status IN ('pending', 'processing', 'completed', 'failed')),
  export_type TEXT NOT NULL CHECK (export_type IN ('full', 'blog', 'ivy', 'category')),
  filter_params TEXT,
  r2_key TEXT,
  size_bytes INTEGER,
  file_count INTEGER,
  created_at TEXT DEFAULT (datetime('now')),
  completed_at TEXT,
  expires_at TEXT,
  error_message TEXT
);

CREATE INDEX storage_exports_by_user ON storage_exports (user_id, status);
CREATE INDEX storage_exports_by_key ON storage_exports (r2_key);

CREATE TABLE storage_addons (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES user_storage(user_id),
  addon_type TEXT NOT NULL CHECK (addon_type IN ('storage_10gb', 'storage_50gb', 'storage_100gb')),
  gb_amount INTEGER NOT NULL,
  stripe_subscription_item_id TEXT,
  active INTEGER DEFAULT 1,
  created_at TEXT DEFAULT (datetime('now')),
  cancelled_at TEXT
);
