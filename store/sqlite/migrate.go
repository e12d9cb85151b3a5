package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"

	"github.com/pressly/goose/v3"

	"example.com/broker/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema to the version of this program. A file of a newer one is left alone: it is used as it is if it says that
// a program of this version can (the version before always can, so that an upgrade may be taken back), refused otherwise.
func migrate(ctx context.Context, db *sql.DB, path string, log *slog.Logger) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return fmt.Errorf("sqlite: read the migrations: %w", err)
	}
	p, err := goose.NewProvider(goose.DialectSQLite3, db, files, goose.WithTableName("schema_version"), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return fmt.Errorf("sqlite: read the migrations: %w", err)
	}
	stored, own, err := p.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("sqlite: read the schema version: %w", err)
	}
	if stored > own {
		return admitNewer(ctx, db, path, stored, own, log)
	}
	done, err := p.Up(ctx)
	if err != nil {
		return fmt.Errorf("sqlite: migrate the schema from version %d to %d: %w", stored, own, err)
	}
	if len(done) > 0 {
		log.InfoContext(ctx, "schema migrated", "file", path, "from", stored, "to", own)
	}
	return nil
}

func admitNewer(ctx context.Context, db *sql.DB, path string, stored, own int64, log *slog.Logger) error {
	var oldest int64
	if err := db.QueryRowContext(ctx, `SELECT oldest FROM schema_compat`).Scan(&oldest); err != nil {
		return fmt.Errorf("sqlite: read which programs may open schema version %d: %w", stored, err)
	}
	if oldest > own {
		return fault.New(fault.Conflict, "schema_newer",
			"The database file %s has schema version %d, this program knows up to %d; run the newer program or restore a backup.", path, stored, own)
	}
	log.WarnContext(ctx, "the schema is newer than this program, which can work with it", "file", path, "stored", stored, "known", own)
	return nil
}
