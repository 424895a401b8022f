"""ModelSerializer and ModelViewSet, as in DRF's tutorial."""

from rest_framework import serializers, viewsets

from benchmarks.peers.drf.models import Resource


class ResourceSerializer(serializers.ModelSerializer):
    class Meta:
        model = Resource
        fields = ["id", "uri", "name", "mime_type", "content", "version", "updated_at"]


class ResourceViewSet(viewsets.ModelViewSet):
    queryset = Resource.objects.all().order_by("id")
    serializer_class = ResourceSerializer
