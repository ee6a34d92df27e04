"""Integer mixers: 32 and 64 bits, one to one, the same on every machine."""

import numpy as np

from curate.kernels import device

# Constants of the published MurmurHash3 (A. Appleby, public domain).
_M32_1, _M32_2 = np.uint32(0x85EBCA6B), np.uint32(0xC2B2AE35)
_M64_1, _M64_2 = np.uint64(0xFF51AFD7ED558CCD), np.uint64(0xC4CEB9FE1A85EC53)
_13, _16, _33 = np.uint32(13), np.uint32(16), np.uint64(33)


@device
def mix32(h):
    """MurmurHash3's 32-bit finalizer of a uint32: uint32."""
    h = np.uint32((h ^ (h >> _16)) * _M32_1)
    h = np.uint32((h ^ (h >> _13)) * _M32_2)
    return np.uint32(h ^ (h >> _16))


@device
def mix64(h):
    """MurmurHash3's 64-bit finalizer of a uint64: uint64."""
    h = (h ^ (h >> _33)) * _M64_1
    h = (h ^ (h >> _33)) * _M64_2
    return h ^ (h >> _33)
