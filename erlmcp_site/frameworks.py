"""What Django, its admin and REST framework are told, whatever the environment says."""

INSTALLED_APPS = [
    "erlmcp_site",
    "unfold",
    "unfold.contrib.filters",
    # without looking for pages: urls.py does, which only those that show them import
    "django.contrib.admin.apps.SimpleAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "auditlog",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "sessions_app",
    "resources_app",
    "encryption_app",
    "audit_app",
    "telemetry_app",
]

# Only for the Django side (admin, documentation pages); API routes do not pass here.
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "erlmcp_site.page_policy.PagePolicy",
    "erlmcp_site.static_files.StaticFiles",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "erlmcp_site.admin.watch.AdminTrail",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

AUTHENTICATION_BACKENDS = ["erlmcp_site.admin.backend.Backend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        *("UserAttributeSimilarityValidator", "MinimumLengthValidator"),
        *("CommonPasswordValidator", "NumericPasswordValidator"),
    )
]

UNFOLD = {
    "SITE_TITLE": "erlmcp",
    "SITE_HEADER": "erlmcp",
    "SITE_SYMBOL": "hub",
    "SITE_DROPDOWN": [
        {"icon": "monitoring", "title": "Live", "link": "/admin/live/"},
        {"icon": "policy", "title": "Audit policy", "link": "/admin/audit-policy/"},
        {"icon": "key", "title": "What may somebody do?", "link": "/admin/access/"},
        {"icon": "lock", "title": "Encryption", "link": "/admin/encryption/"},
        {"icon": "phonelink_lock", "title": "My second factor", "link": "/admin/second-factor/"},
    ],
}

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [],
    "DEFAULT_PERMISSION_CLASSES": [],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "erlmcp",
    "DESCRIPTION": "Resources that change, and everyone who follows them told in order and without a gap.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "APPEND_COMPONENTS": {"securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}},
    "POSTPROCESSING_HOOKS": [],
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}
