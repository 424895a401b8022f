"""A DefaultRouter and simplejwt's view, as their documentation shows."""

from django.urls import include, path
from rest_framework.routers import DefaultRouter
from rest_framework_simplejwt.views import TokenObtainPairView

from benchmarks.peers.drf.views import ResourceViewSet

router = DefaultRouter()
router.register("resources", ResourceViewSet)

urlpatterns = [
    path("api/token/", TokenObtainPairView.as_view()),
    path("api/", include(router.urls)),
]
