use std::io::Write;

use super::*;
use crate::model::integer::{IntegerTensor, Rounding};
use crate::model::testing::data_folder;

fn array(descr: &str, shape: &str, bytes: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
    let mut file = b"\x93NUMPY\x01\x00".to_vec();
    file.extend(u16::try_from(header.len()).expect("short").to_le_bytes());
    file.extend(header.as_bytes());
    file.extend(bytes);
    file
}

fn archive(folder: &Path, entries: &[(&str, Vec<u8>)]) -> PathBuf {
    let path = folder.join("data.npz");
    let mut archive = zip::ZipWriter::new(std::fs::File::create(&path).expect("creates"));
    for (name, bytes) in entries {
        archive
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .expect("starts");
        archive.write_all(bytes).expect("writes");
    }
    archive.finish().expect("finishes");
    path
}

fn network(shape: Shape, scale: f32, zero_point: i32, transform: InputTransform) -> IntegerNetwork {
    IntegerNetwork {
        name: "n".into(),
        rounding: Rounding::Double,
        tensors: vec![IntegerTensor {
            name: "input".into(),
            shape,
            scale,
            zero_point,
        }],
        layers: Vec::new(),
        input: 0,
        output: 0,
        input_transform: transform,
    }
}

#[test]
fn arrays_of_every_kind_are_read_and_limited() {
    let folder = tempfile::tempdir().expect("folder");
    let mut names = b"ab\0c\0\0".to_vec();
    names.extend(b"xyz");
    let path = archive(
        folder.path(),
        &[
            (
                "images.npy",
                array("|u1", "3, 1, 2, 1", &[1, 2, 3, 4, 5, 6]),
            ),
            (
                "labels.npy",
                array("<i8", "3,", &[7_u64, 8, 9].map(u64::to_le_bytes).concat()),
            ),
            ("names.npy", array("|S3", "3,", &names)),
        ],
    );
    let all = Dataset::load(&path, &DataOptions::default()).expect("loads");
    assert_eq!(
        (all.len(), all.labels, all.name.as_str()),
        (3, Some(vec![7, 8, 9]), "data")
    );
    assert_eq!(all.names, Some(vec!["ab".into(), "c".into(), "xyz".into()]));
    let options = DataOptions {
        limit: Some(2),
        ..DataOptions::default()
    };
    let two = Dataset::load(&path, &options).expect("loads");
    let Images::Pixels(pixels) = &two.images else {
        panic!("{two:?}")
    };
    assert_eq!(
        (pixels.dim(), pixels.as_slice()),
        ((2, 1, 2, 1), Some(&[1, 2, 3, 4][..]))
    );
    assert_eq!(two.labels, Some(vec![7, 8]));
}

#[test]
fn hostile_arrays_are_refused_by_name() {
    let folder = tempfile::tempdir().expect("folder");
    let load = |entry: &str, bytes: Vec<u8>| {
        let path = archive(folder.path(), &[(entry, bytes)]);
        Dataset::load(path, &DataOptions::default())
            .expect_err("refused")
            .to_string()
    };
    let cases = [
        (
            array("|u1", "99999999999, 32, 32, 3", &[]),
            "larger than 1073741824 bytes",
        ),
        (
            array("|u1", "4294967296, 4294967296, 4294967296, 3", &[]),
            "larger than",
        ),
        (array("|u1", "1000000, 32, 32, 3", &[0; 64]), "larger than"),
        (
            array("|u1", "1000, 32, 32, 3", &[0; 64]),
            "truncated: 64 of 3072000 bytes",
        ),
        (array(">i4", "1, 1", &[0; 4]), "elements of type `>i4`"),
        (
            array("|S99999999", "1, 1", &[0; 4]),
            "elements of type `|S99999999`",
        ),
        (
            array("<i4", "1, 1", &[0; 4]),
            "elements of type I32; u8, i8, f32 and f64 are read",
        ),
        (array("|u1", "1, -1", &[0; 4]), "extent `-1`"),
        (array("|u1", "4,", &[0; 4]), "shape [4];"),
        (
            array("<f4", "1, 1", &f32::NAN.to_le_bytes()),
            "values that are not numbers",
        ),
        (
            b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(),
            "header of 4294967295 bytes",
        ),
        (b"\x93NUM".to_vec(), "truncated header"),
    ];
    for (bytes, reason) in cases {
        let text = load("images.npy", bytes);
        assert!(
            text.contains("data.npz: array `images`: ") && text.contains(reason),
            "{text}"
        );
    }
    let text = load("pictures.npy", array("|u1", "1, 1", &[0]));
    assert!(text.contains("images: none of the arrays"), "{text}");
}

#[test]
fn pixels_become_the_networks_bytes() {
    let pixels = Array4::from_shape_fn((256, 1, 1, 2), |(n, _, _, _)| {
        u8::try_from(n).expect("byte")
    });
    let dataset = |images| Dataset {
        name: "d".into(),
        images,
        labels: None,
        names: None,
    };
    let pixel_set = dataset(Images::Pixels(pixels.clone()));
    let shape = Shape {
        height: 1,
        width: 1,
        channels: 2,
    };

    // Raw pixels at scale 1, and pixels / 255 at scale 1 / 255, pass unchanged.
    let raw = network(shape, 1.0, 0, InputTransform::default());
    assert_eq!(pixel_set.bytes_for(&raw, 0..256).expect("converts"), pixels);
    let unit = InputTransform {
        mean: vec![0.0],
        factor: vec![1.0 / 255.0],
    };
    let unit = network(shape, 0.003_921_569, 0, unit);
    assert_eq!(
        pixel_set.bytes_for(&unit, 0..256).expect("converts"),
        pixels
    );

    // One mean and factor a channel; ties away from zero; clamped.
    let transform = InputTransform {
        mean: vec![128.0, 0.0],
        factor: vec![0.5, -1.0],
    };
    let bytes = pixel_set
        .bytes_for(&network(shape, 1.0, 100, transform), 0..256)
        .expect("converts");
    assert_eq!(
        [
            bytes[[128, 0, 0, 0]],
            bytes[[129, 0, 0, 0]],
            bytes[[127, 0, 0, 0]]
        ],
        [100, 101, 99]
    );
    assert_eq!([bytes[[99, 0, 0, 1]], bytes[[101, 0, 0, 1]]], [1, 0]);

    let signed = dataset(Images::Signed(
        Array4::from_shape_vec((1, 1, 1, 2), vec![-128, 127]).expect("fits"),
    ));
    assert_eq!(
        signed.bytes_for(&raw, 0..1).expect("converts").as_slice(),
        Some(&[0, 255][..])
    );
    let real = dataset(Images::Real(
        Array4::from_shape_vec((1, 1, 1, 2), vec![-7.5, 1e9]).expect("fits"),
    ));
    let offset = network(shape, 1.0, 10, InputTransform::default());
    assert_eq!(
        real.bytes_for(&offset, 0..1).expect("converts").as_slice(),
        Some(&[2, 255][..])
    );

    let other = network(
        Shape { height: 2, ..shape },
        1.0,
        0,
        InputTransform::default(),
    );
    assert!(matches!(
        pixel_set.bytes_for(&other, 0..1),
        Err(DataError::Shape { .. })
    ));
    assert!(matches!(
        pixel_set.bytes_for(&raw, 0..257),
        Err(DataError::Range { .. })
    ));
}

#[test]
fn pictures_are_cut_from_the_centre_and_labelled() {
    let folder = tempfile::tempdir().expect("folder");
    // 8 wide, 4 high: left and right quarters white, the centre square black.
    let wide = image::RgbImage::from_fn(8, 4, |x, _| {
        image::Rgb(if (2..6).contains(&x) {
            [0, 0, 0]
        } else {
            [255, 255, 255]
        })
    });
    wide.save(folder.path().join("0002_b.png")).expect("saves");
    image::RgbImage::from_pixel(2, 2, image::Rgb([10, 20, 30]))
        .save(folder.path().join("0001_a.png"))
        .expect("saves");
    let size = Some(Shape {
        height: 2,
        width: 2,
        channels: 3,
    });
    let options = DataOptions {
        size,
        central_fraction: 1.0,
        ..DataOptions::default()
    };
    let plain = Dataset::load(folder.path(), &options).expect("loads");
    let Images::Pixels(pixels) = &plain.images else {
        panic!("{plain:?}")
    };
    assert_eq!(
        pixels.slice(ndarray::s![0, 1, 1, ..]).to_vec(),
        [10, 20, 30]
    );
    assert!(
        pixels
            .slice(ndarray::s![1, .., .., ..])
            .iter()
            .all(|byte| *byte == 0)
    );
    assert_eq!(plain.labels, None);

    let table = "index,class_index,name\n1,7,\"a, the first\"\n2,9,b\n";
    std::fs::write(folder.path().join("labels.csv"), table).expect("writes");
    let labelled = Dataset::load(folder.path(), &options).expect("loads");
    assert_eq!(labelled.labels, Some(vec![7, 9]));
    std::fs::write(
        folder.path().join("labels.csv"),
        "file,label\n0001_a.png,3\n",
    )
    .expect("writes");
    let text = Dataset::load(folder.path(), &options)
        .expect_err("lacks one")
        .to_string();
    assert!(
        text.ends_with("pictures: no label for `0002_b.png`"),
        "{text}"
    );
    std::fs::write(folder.path().join("0003.png"), b"\x89PNG no picture").expect("writes");
    let text = Dataset::load(folder.path(), &options)
        .expect_err("damaged")
        .to_string();
    assert!(text.contains("picture `0003.png`: "), "{text}");
}

#[test]
fn published_data_sets_load() {
    let Some(folder) = data_folder("cifar10, kws, imagenet-sample") else {
        return;
    };
    let options = DataOptions {
        limit: Some(100),
        ..DataOptions::default()
    };
    let cifar = Dataset::load(folder.join("cifar10/test-dev-3000.npz"), &options).expect("loads");
    assert_eq!(cifar.images.dim(), (100, 32, 32, 3));
    assert!(
        cifar
            .labels
            .is_some_and(|labels| labels.iter().all(|label| *label < 10))
    );
    assert_eq!(cifar.names.map(|names| names.len()), Some(100));
    let kws =
        Dataset::load(folder.join("kws/kws01_1000.npz"), &DataOptions::default()).expect("loads");
    assert!(matches!(&kws.images, Images::Signed(x) if x.dim() == (1000, 49, 10, 1)));
    assert!(
        kws.labels
            .is_some_and(|labels| labels.iter().max() == Some(&11))
    );
    let size = Some(Shape {
        height: 224,
        width: 224,
        channels: 3,
    });
    let options = DataOptions {
        size,
        limit: Some(3),
        ..DataOptions::default()
    };
    let sample = folder.join("imagenet-sample/images-256-dev-200.zip");
    let sample = Dataset::load(sample, &options).expect("loads");
    assert_eq!(sample.images.dim(), (3, 224, 224, 3));
    assert_eq!(sample.labels, Some(vec![4, 6, 7]));
}
