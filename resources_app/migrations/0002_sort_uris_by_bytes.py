from django.db import migrations


def sort_uris_by_bytes(apps, schema_editor):
    """Prefixes are ranges, so URIs have to sort by their bytes; SQLite does, PostgreSQL when it is told."""
    if schema_editor.connection.vendor == "postgresql":
        for table in ("resources_app_resource", "resources_app_event"):
            schema_editor.execute(f'ALTER TABLE {table} ALTER COLUMN uri TYPE varchar(2048) COLLATE "C"')


class Migration(migrations.Migration):
    dependencies = [("resources_app", "0001_initial")]

    operations = [
        migrations.RunPython(sort_uris_by_bytes, migrations.RunPython.noop, hints={"database": "default"}),
    ]
