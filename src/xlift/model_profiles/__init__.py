"""Profiles of named models: what is published about each, as data (`families/*.yaml`), read without torch."""

from xlift.model_profiles.profiles import Languages, Limit, ModelProfile, all_profiles, find_profile, get_profile

__all__ = ["Languages", "Limit", "ModelProfile", "all_profiles", "find_profile", "get_profile"]
