"""Weights and photographs by name, hash and source: fetched once, checked, and kept in a cache."""

from gainbench.assets.cache import cache_folder
from gainbench.assets.catalogue import Asset, catalogue
from gainbench.assets.fetch import Fetched, Verified, asset_path, available, check_own_file, fetch_assets, verify_assets
from gainbench.assets.unpickle import load_hed_arrays, load_jax_checkpoint

__all__ = [
    "Asset",
    "Fetched",
    "Verified",
    "asset_path",
    "available",
    "cache_folder",
    "catalogue",
    "check_own_file",
    "fetch_assets",
    "load_hed_arrays",
    "load_jax_checkpoint",
    "verify_assets",
]
