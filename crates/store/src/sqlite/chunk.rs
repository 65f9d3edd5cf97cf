//! A chunk of a journal: the entries of one commit in one blob, with a checksum.
//!
//! Layout: CRC-32 of the rest (4 bytes, little-endian), position of the first entry, number of entries; then for each entry
//! its length and bytes, and its payload: `0` for none, `1` length bytes for one in line, `2` length for one kept apart.
//! Numbers are LEB128.

use crate::instance::INLINE_PAYLOAD_BYTES;
use crate::{JournalEntry, Payload, StoreError};
use bytes::{Buf, Bytes};
use cairn_core::Seq;

const NO_PAYLOAD: u8 = 0;
const INLINE: u8 = 1;
const APART: u8 = 2;

/// Whether a payload is kept apart from its chunk.
pub(super) fn is_apart(payload: &Bytes) -> bool {
    payload.len() > INLINE_PAYLOAD_BYTES
}

/// Packs the entries from `first` on.
pub(super) fn encode<'a>(
    first: Seq,
    entries: impl ExactSizeIterator<Item = (&'a [u8], Option<&'a Bytes>)>,
) -> Vec<u8> {
    let mut out = vec![0; 4];
    put_number(&mut out, first.0);
    put_number(&mut out, entries.len() as u64);
    for (entry, payload) in entries {
        put_number(&mut out, entry.len() as u64);
        out.extend_from_slice(entry);
        match payload {
            None => out.push(NO_PAYLOAD),
            Some(payload) if is_apart(payload) => {
                out.push(APART);
                put_number(&mut out, payload.len() as u64);
            }
            Some(payload) => {
                out.push(INLINE);
                put_number(&mut out, payload.len() as u64);
                out.extend_from_slice(payload);
            }
        }
    }
    let checksum = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Unpacks a chunk onto the end of `journal`, which must be where it begins.
pub(super) fn decode(chunk: Vec<u8>, journal: &mut Vec<JournalEntry>) -> Result<(), StoreError> {
    let begin = Seq(journal.len() as u64);
    decode_at(chunk, begin, journal)
}

/// Refuses a chunk that does not have the checksum it was written with.
pub(super) fn verify(chunk: &[u8]) -> Result<(), StoreError> {
    let (checksum, rest) = chunk
        .split_first_chunk::<4>()
        .ok_or_else(|| damaged("it is too short"))?;
    if crc32fast::hash(rest) == u32::from_le_bytes(*checksum) {
        Ok(())
    } else {
        Err(damaged("its checksum does not match"))
    }
}

/// The position of the first entry of a chunk, unchecked.
pub(super) fn first(chunk: &[u8]) -> Result<Seq, StoreError> {
    let head = chunk.get(4..).ok_or_else(|| damaged("it is too short"))?;
    let mut head = Bytes::copy_from_slice(&head[..head.len().min(10)]);
    take_number(&mut head).map(Seq)
}

/// Unpacks a chunk that must begin at `begin` onto the end of `journal`.
pub(super) fn decode_at(
    chunk: Vec<u8>,
    begin: Seq,
    journal: &mut Vec<JournalEntry>,
) -> Result<(), StoreError> {
    verify(&chunk)?;
    let mut rest = Bytes::from(chunk);
    rest.advance(4);
    let first = take_number(&mut rest)?;
    if first != begin.0 {
        return Err(damaged("it does not begin where the chunk before it ends"));
    }
    let count = take_number(&mut rest)?;
    for seq in first..first.saturating_add(count) {
        let entry = take_bytes(&mut rest)?.to_vec();
        let payload = match take_byte(&mut rest)? {
            NO_PAYLOAD => None,
            INLINE => Some(Payload::Inline(take_bytes(&mut rest)?)),
            APART => Some(Payload::Apart {
                bytes: take_number(&mut rest)?,
            }),
            _ => return Err(damaged("it has a payload of an unknown kind")),
        };
        journal.push(JournalEntry {
            seq: Seq(seq),
            entry,
            payload,
        });
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(damaged("it is too long"))
    }
}

fn damaged(why: &str) -> StoreError {
    StoreError::Corrupt(format!("a chunk of a journal cannot be read: {why}"))
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_byte(rest: &mut Bytes) -> Result<u8, StoreError> {
    if rest.is_empty() {
        return Err(damaged("it ends too early"));
    }
    Ok(rest.get_u8())
}

fn take_number(rest: &mut Bytes) -> Result<u64, StoreError> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(rest)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(damaged("it has a number that is too large"))
}

fn take_bytes(rest: &mut Bytes) -> Result<Bytes, StoreError> {
    let length = take_number(rest)?;
    match usize::try_from(length) {
        Ok(length) if length <= rest.len() => Ok(rest.split_to(length)),
        _ => Err(damaged("it ends too early")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(first: u64) -> Vec<u8> {
        let (small, large) = (
            Bytes::from_static(b"value"),
            Bytes::from(vec![7; INLINE_PAYLOAD_BYTES + 1]),
        );
        let entries: [(&[u8], Option<&Bytes>); 3] =
            [(b"one", None), (b"", Some(&small)), (b"three", Some(&large))];
        encode(Seq(first), entries.into_iter())
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let mut journal = Vec::new();
        decode(packed(0), &mut journal).unwrap();
        decode(packed(3), &mut journal).unwrap();
        assert_eq!(
            journal.iter().map(|entry| entry.seq.0).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5]
        );
        assert_eq!(
            journal[0],
            JournalEntry {
                seq: Seq(0),
                entry: b"one".to_vec(),
                payload: None
            }
        );
        assert_eq!(
            journal[4].payload,
            Some(Payload::Inline(Bytes::from_static(b"value")))
        );
        assert_eq!(
            journal[5].payload,
            Some(Payload::Apart {
                bytes: INLINE_PAYLOAD_BYTES as u64 + 1
            })
        );
    }

    #[test]
    fn a_chunk_out_of_place_is_damage() {
        assert!(matches!(
            decode(packed(1), &mut Vec::new()),
            Err(StoreError::Corrupt(_))
        ));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_damage() {
        let good = packed(0);
        for at in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert!(
                matches!(decode(bad, &mut Vec::new()), Err(StoreError::Corrupt(_))),
                "bit {at}"
            );
        }
        for length in 0..good.len() {
            assert!(
                decode(good[..length].to_vec(), &mut Vec::new()).is_err(),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn no_bytes_with_a_right_checksum_make_it_panic() {
        let mut state = 1_u64;
        for length in 0..2_000 {
            let mut bytes: Vec<u8> = (0..length % 40)
                .map(|_| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 56) as u8
                })
                .collect();
            bytes.splice(0..0, crc32fast::hash(&bytes).to_le_bytes());
            let _ = decode(bytes, &mut Vec::new());
        }
    }
}
