//! Messages made of what the server's own descriptors say: each field of the right type, with a value that
//! is likely to be trouble.

use std::collections::BTreeMap;

use headstart_merkle::BlobDigest;
use headstart_reapi::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

use super::super::seeded::Seeded;

/// How deep messages are in each other.
const DEEPEST: usize = 5;

/// A method of a service.
pub(crate) struct Method {
    /// As requests name it.
    pub(crate) path: String,
    /// The type of what it takes, without the dot in front.
    pub(crate) input: String,
    pub(crate) takes_stream: bool,
}

/// All messages and services there are.
pub(crate) struct Types {
    messages: BTreeMap<String, DescriptorProto>,
    methods: Vec<(String, String, bool)>,
}

impl Types {
    pub(crate) fn read(descriptors: &[u8]) -> Self {
        let files = FileDescriptorSet::decode(descriptors).unwrap();
        let mut types = Self {
            messages: BTreeMap::new(),
            methods: Vec::new(),
        };
        for file in files.file {
            let package = file.package().to_owned();
            for message in file.message_type {
                types.add(&package, message);
            }
            for service in file.service {
                for method in &service.method {
                    let path = format!("/{package}.{}/{}", service.name(), method.name());
                    let input = method.input_type().trim_start_matches('.').to_owned();
                    types.methods.push((path, input, method.client_streaming()));
                }
            }
        }
        types
    }

    fn add(&mut self, parent: &str, message: DescriptorProto) {
        let name = format!("{parent}.{}", message.name());
        for nested in &message.nested_type {
            self.add(&name, nested.clone());
        }
        self.messages.insert(name, message);
    }

    /// The methods, in the order of the files.
    pub(crate) fn methods(&self) -> Vec<Method> {
        let methods = self.methods.iter();
        let methods = methods.map(|(path, input, takes_stream)| Method {
            path: path.clone(),
            input: input.clone(),
            takes_stream: *takes_stream,
        });
        methods.collect()
    }

    /// A message of a type; its digests are often among those given.
    pub(crate) fn message(
        &self,
        name: &str,
        random: &mut Seeded,
        digests: &[BlobDigest],
    ) -> Vec<u8> {
        let mut encoded = Vec::new();
        self.write(name, random, digests, 0, &mut encoded);
        encoded
    }

    fn write(
        &self,
        name: &str,
        random: &mut Seeded,
        digests: &[BlobDigest],
        depth: usize,
        to: &mut Vec<u8>,
    ) {
        if name.ends_with(".Digest") && !digests.is_empty() && random.below(4) > 0 {
            return digest(*random.pick(digests), random, to);
        }
        let Some(message) = self.messages.get(name) else {
            return;
        };
        for field in &message.field {
            let many = field.label() == Label::Repeated;
            let count = match (many, random.below(8)) {
                (_, 0 | 1) => 0,
                (true, 2) => 1 + random.below(40),
                (true, _) => 1 + random.below(3),
                (false, _) => 1,
            };
            for _ in 0..count {
                self.write_field(field, random, digests, depth, to);
            }
        }
    }

    fn write_field(
        &self,
        field: &FieldDescriptorProto,
        random: &mut Seeded,
        digests: &[BlobDigest],
        depth: usize,
        to: &mut Vec<u8>,
    ) {
        let key = (field.number().unsigned_abs() << 3).into();
        match field.r#type() {
            Type::Message | Type::Group => {
                let mut inner = Vec::new();
                if depth < DEEPEST {
                    let name = field.type_name().trim_start_matches('.');
                    self.write(name, random, digests, depth + 1, &mut inner);
                }
                bytes(key, &inner, to);
            }
            Type::String => bytes(key, text(field.name(), random, digests).as_bytes(), to),
            Type::Bytes => {
                let length = *random.pick(&[0, 1, 7, 7, 1000, 100_000]);
                let content = match random.below(3) {
                    0 => b"content".to_vec(),
                    _ => random.bytes(length),
                };
                bytes(key, &content, to);
            }
            Type::Double | Type::Fixed64 | Type::Sfixed64 => {
                varint(key | 1, to);
                to.extend(number(random).to_le_bytes());
            }
            Type::Float | Type::Fixed32 | Type::Sfixed32 => {
                varint(key | 5, to);
                to.extend(&number(random).to_le_bytes()[..4]);
            }
            _ => {
                varint(key, to);
                varint(number(random), to);
            }
        }
    }
}

/// A number that is at the edge of something.
fn number(random: &mut Seeded) -> u64 {
    let edge = *random.pick(&[
        0,
        0,
        1,
        2,
        7,
        100,
        4 << 20,
        16 << 30,
        u64::from(u32::MAX),
        i64::MAX.unsigned_abs(),
        1 << 63,
        u64::MAX,
    ]);
    edge.wrapping_add(random.below(3)).wrapping_sub(1)
}

/// A text that may stand for what the field's name says.
fn text(field: &str, random: &mut Seeded, digests: &[BlobDigest]) -> String {
    let hash = digests.first().map(|digest| {
        let digest = random.pick(digests).to_owned().min(*digest);
        (digest.hex(), digest.size())
    });
    let (hash, size) = hash.unwrap_or_else(|| ("00".repeat(32), 0));
    let likely = match field {
        "resource_name" => match random.below(4) {
            0 => format!("blobs/{hash}/{size}"),
            1 => format!("uploads/{}/blobs/{hash}/{size}", random.below(3)),
            2 => format!("uploads/1/compressed-blobs/zstd/{hash}/{}", number(random)),
            _ => format!("compressed-blobs/zstd/{hash}/{size}"),
        },
        "instance_name" => String::new(),
        "hash" => hash,
        "name" => format!("operations/{}", random.below(3)),
        "path" | "root" => {
            (*random.pick(&["/folder", "/folder/file", "/folder/new", "/"])).to_owned()
        }
        "url" => "http://127.0.0.1:1".to_owned(),
        _ => format!("{field}-{}", random.below(4)),
    };
    let odd = [
        "",
        ".",
        "..",
        "/",
        "//",
        "a/../../b",
        "\0",
        "\u{feff}é",
        "%s%n",
        "-1",
    ];
    match random.below(6) {
        0 => (*random.pick(&odd)).to_owned(),
        1 if random.below(8) == 0 => "x/".repeat(5000),
        _ => likely,
    }
}

fn digest(digest: BlobDigest, random: &mut Seeded, to: &mut Vec<u8>) {
    bytes(1 << 3, digest.hex().as_bytes(), to);
    varint(2 << 3, to);
    match random.below(8) {
        0 => varint(number(random), to),
        _ => varint(digest.size(), to),
    }
}

fn bytes(key: u64, content: &[u8], to: &mut Vec<u8>) {
    varint(key | 2, to);
    varint(content.len() as u64, to);
    to.extend_from_slice(content);
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}
