import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

NAMES = {"writer": "user", "reader": "viewer"}


def rename(apps, schema_editor, names):
    """The groups of before become the roles that have the same rights, with their members and what operators made of
    their permissions. A name that is taken is left to whoever took it."""
    groups = apps.get_model("auth", "Group").objects.using(schema_editor.connection.alias)
    for old, new in names.items():
        if not groups.filter(name=new).exists():
            groups.filter(name=old).update(name=new)


def to_roles(apps, schema_editor):
    rename(apps, schema_editor, NAMES)


def from_roles(apps, schema_editor):
    rename(apps, schema_editor, {new: old for old, new in NAMES.items()})


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("sessions_app", "0002_api_keys"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessRule",
            fields=[
                ("id", models.CharField(max_length=36, primary_key=True, serialize=False)),
                ("pattern", models.CharField(max_length=2048)),
                ("verbs", models.CharField(max_length=64)),
                ("effect", models.CharField(max_length=8)),
                ("created_by", models.CharField(blank=True, max_length=150)),
                ("created_at", models.DateTimeField()),
                ("expires_at", models.DateTimeField(blank=True, db_index=True, null=True)),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="auth.group",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.RunPython(to_roles, from_roles, hints={"database": "default"}, elidable=True),
    ]
