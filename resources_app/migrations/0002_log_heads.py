from django.db import migrations


def sort_uris_by_bytes(apps, schema_editor):
    """Prefixes are ranges, so URIs have to sort by their bytes; SQLite does, PostgreSQL when it is told."""
    if schema_editor.connection.vendor == "postgresql":
        for table in ("resources_app_resource", "resources_app_event"):
            schema_editor.execute(f'ALTER TABLE {table} ALTER COLUMN uri TYPE varchar(2048) COLLATE "C"')


def make_heads(apps, schema_editor):
    heads = apps.get_model("resources_app", "LogHead").objects.using(schema_editor.connection.alias)
    for stream in ("changes", "control"):
        heads.get_or_create(stream=stream, defaults={"head": 0, "earliest": 1})


class Migration(migrations.Migration):
    dependencies = [("resources_app", "0001_initial")]

    operations = [
        migrations.RunPython(sort_uris_by_bytes, migrations.RunPython.noop, hints={"database": "default"}),
        migrations.RunPython(make_heads, migrations.RunPython.noop, hints={"database": "default"}),
    ]
