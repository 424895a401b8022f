from django.db import migrations, models, router

FILLS = {
    "postgresql": (
        "UPDATE {table} SET sealed_by = encode(substring(body from 3 for 16), 'hex') "
        "WHERE substring(body from 1 for 1) = '\\xff'::bytea AND length(body) >= 46"
    ),
    "sqlite": (
        "UPDATE {table} SET sealed_by = lower(hex(substr(body, 3, 16))) "
        "WHERE substr(body, 1, 1) = x'ff' AND length(body) >= 46"
    ),
}
"""The id of the data key of what is encrypted already stands in its envelope."""


def fill(apps, schema_editor):
    connection = schema_editor.connection
    for model in (apps.get_model("resources_app", "Resource"), apps.get_model("resources_app", "Event")):
        if router.allow_migrate_model(connection.alias, model):
            table = schema_editor.quote_name(model._meta.db_table)
            schema_editor.execute(FILLS[connection.vendor].format(table=table))


class Migration(migrations.Migration):
    dependencies = [
        ("resources_app", "0003_loghead_prefixes"),
    ]

    operations = [
        migrations.AddField(
            model_name="event",
            name="sealed_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.AddField(
            model_name="resource",
            name="sealed_by",
            field=models.CharField(blank=True, db_default="", default="", max_length=32),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
