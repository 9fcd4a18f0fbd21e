"""What the relay remembers for good, in SQLite or PostgreSQL; SQLAlchemy is imported when a store is opened."""
