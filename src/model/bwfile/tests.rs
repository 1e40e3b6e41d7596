use proptest::prelude::*;

use super::*;
use crate::model::integer::{IntegerOp, Multiplier, Rounding};
use crate::model::testing::{Seeds, sample_network};

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_network_survives_its_file(seed in any::<u64>()) {
        let network = sample_network(&mut Seeds::new(seed));
        let bytes = encode(&network).expect("encodes");
        prop_assert_eq!(decode(&bytes).expect("decodes"), network);
    }

    #[test]
    fn damage_is_noticed(seed in any::<u64>(), place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let mut bytes = encode(&sample_network(&mut Seeds::new(seed))).expect("encodes");
        let place = place.index(bytes.len());
        prop_assert!(decode(&bytes[..place]).is_err());
        bytes[place] ^= flip;
        prop_assert!(decode(&bytes).is_err());
    }
}

fn sample() -> IntegerNetwork {
    sample_network(&mut Seeds::new(7))
}

#[test]
fn the_start_is_as_documented() {
    let bytes = encode(&sample()).expect("encodes");
    assert_eq!(&bytes[..12], b"bitweft\0\x01\0\0\0");
    assert_eq!(&bytes[24..33], b"{\"name\":\"");
}

#[test]
fn errors_name_the_field() {
    let mut bytes = encode(&sample()).expect("encodes");
    assert!(matches!(
        decode(b"bitwefts and more than 24 bytes"),
        Err(BwError::NotBw)
    ));
    assert!(matches!(
        decode(&bytes[..bytes.len() - 1]),
        Err(BwError::Length { .. })
    ));
    // A length that would wrap around is still a length.
    let mut wrapped = bytes.clone();
    wrapped[16..24].fill(0xff);
    assert!(matches!(
        decode(&wrapped),
        Err(BwError::Length {
            expected: u64::MAX,
            ..
        })
    ));
    bytes[30] ^= 1;
    assert_eq!(
        decode(&bytes).expect_err("damaged").to_string(),
        "field `checksum`: the file is damaged"
    );
    bytes[8] = 2;
    assert!(matches!(decode(&bytes), Err(BwError::Version { found: 2 })));

    type Damage = fn(&mut IntegerNetwork);
    let cases: [(Damage, &str); 6] = [
        (|n| n.output = 99, "field `output`: tensor 99 of"),
        (|n| n.tensors[0].zero_point = 256, "zero_point`: 256"),
        (|n| n.tensors[0].scale = f32::NAN, "scale`: NaN"),
        (
            |n| n.input_transform.mean.clear(),
            "field `input_transform.mean`: []",
        ),
        (|n| first(n).bits[0] = 0, "bits`: 0 do not hold filter 0"),
        (
            |n| {
                first(n).multiplier[0] = Multiplier {
                    mantissa: -1,
                    shift: 0,
                }
            },
            "multiplier`: Multiplier",
        ),
    ];
    for (damage, text) in cases {
        let mut network = sample();
        damage(&mut network);
        let error = encode(&network).expect_err(text).to_string();
        assert!(error.contains(text), "{error}");
    }
}

fn first(network: &mut IntegerNetwork) -> &mut crate::model::integer::IntegerConvolution {
    let mut layers = network.layers.iter_mut();
    let found = layers.find_map(|layer| match &mut layer.op {
        IntegerOp::Convolution(convolution) if convolution.bits[0] > 0 => Some(convolution),
        _ => None,
    });
    found.expect("a convolution whose first filter is not pruned")
}

#[test]
fn files_are_replaced_whole() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("net.bw");
    let mut network = sample();
    write(&path, &network).expect("writes");
    network.rounding = Rounding::Single;
    write(&path, &network).expect("writes again");
    let loaded = crate::model::load::load_model(&path).expect("loads");
    assert_eq!(loaded, crate::model::load::Model::Integer(network.clone()));
    assert_eq!(std::fs::read_dir(folder.path()).expect("lists").count(), 1);
    let error = write(folder.path().join("none/net.bw"), &network)
        .expect_err("no folder")
        .to_string();
    assert!(error.contains("none/net.bw: "), "{error}");
}
