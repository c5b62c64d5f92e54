//! Fixed-size fields at an offset that may come from the wire: absent instead of a panic.

/// The `N` bytes at `at`, or `None` where the slice ends before.
#[inline]
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk()
}

/// The big-endian number at `at`, or `None` where the slice ends before.
#[inline]
pub(crate) fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(|b| u16::from_be_bytes(*b))
}

/// The `N` bytes at the constant offset `AT` of a header of known size. It is checked at compile time.
#[inline]
pub(crate) const fn part<const AT: usize, const N: usize, const SIZE: usize>(header: &[u8; SIZE]) -> [u8; N] {
    const { assert!(AT + N <= SIZE) };
    let mut part = [0; N];
    let mut i = 0;
    while i < N {
        part[i] = header[AT + i];
        i += 1;
    }
    part
}
