//! Ids of instances that were created without one.

use cairn_core::Timestamp;

/// A random UUID whose first 48 bits are the time. The store finds an instance by its id in an index that is sorted by it: ids in order of creation are
/// inserted at its end, where random ones would each touch another page, which at a million instances costs as much as all else that a creation writes.
/// 74 random bits are left.
pub(crate) fn instance_id(now: Timestamp) -> String {
    let mut bytes = uuid::Uuid::new_v4().into_bytes();
    bytes[..6].copy_from_slice(&now.0.to_be_bytes()[2..]);
    uuid::Uuid::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_rise_with_time_and_are_random_uuids() {
        let early = instance_id(Timestamp(1_700_000_000_000));
        let late = instance_id(Timestamp(1_700_000_000_001));
        assert!(early < late, "{early} {late}");
        assert_ne!(late, instance_id(Timestamp(1_700_000_000_001)));
        let uuid = uuid::Uuid::parse_str(&early).unwrap();
        assert_eq!(uuid.get_version(), Some(uuid::Version::Random));
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }
}
