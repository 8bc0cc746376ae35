//! What is inside an archive, before it is encrypted: named parts one after another, compressed. A part's length need not
//! be known when it begins: it comes in blocks.

use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use ring::digest;

use super::seal::{Opener, Sealer, damaged};

const BLOCK: usize = 64 * 1024;
const MAX_NAME: usize = 200;

/// What a part was when it was packed or read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) bytes: u64,
    /// SHA-256 in hex.
    pub(super) sha256: String,
}

/// Copies and counts.
pub(super) fn pass_on(from: &mut impl Read, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Part> {
    let mut context = digest::Context::new(&digest::SHA256);
    let (mut bytes, mut block) = (0u64, vec![0; BLOCK]);
    loop {
        let length = match from.read(&mut block) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        context.update(&block[..length]);
        each(&block[..length])?;
        bytes += length as u64;
    }
    Ok(Part { bytes, sha256: hex::encode(context.finish()) })
}

pub(super) struct Packer<W: Write> {
    out: DeflateEncoder<Sealer<W>>,
}

impl<W: Write> Packer<W> {
    pub(super) fn new(out: Sealer<W>) -> Self {
        // A database shrinks to a fifth even so; more would cost a small server's processors for minutes.
        Self { out: DeflateEncoder::new(out, Compression::fast()) }
    }

    pub(super) fn add(&mut self, name: &str, from: &mut impl Read) -> io::Result<Part> {
        let length = u16::try_from(name.len()).map_err(io::Error::other)?;
        self.out.write_all(&length.to_be_bytes())?;
        self.out.write_all(name.as_bytes())?;
        let part = pass_on(from, |block| {
            let length = u32::try_from(block.len()).map_err(io::Error::other)?;
            self.out.write_all(&length.to_be_bytes())?;
            self.out.write_all(block)
        })?;
        self.out.write_all(&0u32.to_be_bytes())?;
        Ok(part)
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&0u16.to_be_bytes())?;
        self.out.finish()?.finish()
    }
}

/// Reads parts in their order; of the present one by `Read`.
pub(super) struct Unpacker<R: Read> {
    from: DeflateDecoder<Opener<R>>,
    inside: bool,
    left_of_block: usize,
}

impl<R: Read> Unpacker<R> {
    pub(super) fn new(from: Opener<R>) -> Self {
        Self { from: DeflateDecoder::new(from), inside: false, left_of_block: 0 }
    }

    /// The next part's name; `None` at the end, once the archive is known to be whole.
    pub(super) fn next_part(&mut self) -> io::Result<Option<String>> {
        if self.inside {
            io::copy(self, &mut io::sink())?;
        }
        let mut length = [0; 2];
        self.exactly(&mut length)?;
        let length = usize::from(u16::from_be_bytes(length));
        if length == 0 {
            // To the last chunk: a missing end shows there alone.
            if io::copy(&mut self.from, &mut io::sink())? > 0 || io::copy(self.from.get_mut(), &mut io::sink())? > 0 {
                return Err(damaged());
            }
            return Ok(None);
        }
        if length > MAX_NAME {
            return Err(damaged());
        }
        let mut name = vec![0; length];
        self.exactly(&mut name)?;
        (self.inside, self.left_of_block) = (true, 0);
        String::from_utf8(name).map(Some).map_err(|_| damaged())
    }

    fn exactly(&mut self, into: &mut [u8]) -> io::Result<()> {
        self.from.read_exact(into).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(),
            _ => error,
        })
    }
}

impl<R: Read> Read for Unpacker<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.inside || into.is_empty() {
            return Ok(0);
        }
        if self.left_of_block == 0 {
            let mut length = [0; 4];
            self.exactly(&mut length)?;
            self.left_of_block = usize::try_from(u32::from_be_bytes(length)).map_err(|_| damaged())?;
            if self.left_of_block == 0 {
                self.inside = false;
                return Ok(0);
            }
        }
        let most = self.left_of_block.min(into.len());
        let given = self.from.read(&mut into[..most])?;
        if given == 0 {
            return Err(damaged());
        }
        self.left_of_block -= given;
        Ok(given)
    }
}
