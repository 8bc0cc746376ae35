//! An archive file: a mark, a header in the clear that tells what is needed to open it, and the encrypted pack. What says
//! anything about people, down to the number of rows, is inside.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use songhe_kernel::{Moment, Text};

use super::key::{Derivation, Key, KeySource};
use super::manifest::Manifest;
use super::pack::{Packer, Part, Unpacker, pass_on};
use super::seal::{Opener, Sealer};
use super::{Kind, Outcome, Trouble, cannot};

const MARK: &[u8; 16] = b"SONGHE-BACKUP-1\n";
const FORMAT: u32 = 1;
const MAX_HEADER: usize = 16 * 1024;
const MAX_MANIFEST: u64 = 16 * 1024 * 1024;
/// Names of the parts.
pub(super) const DATABASE: &str = "database";
const MANIFEST: &str = "manifest.json";

/// What an archive tells without its key. Not to be trusted before the archive is opened with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    format: u32,
    /// The kind of database.
    pub kind: Kind,
    /// The version of Songhe that wrote it.
    pub version: String,
    /// The moment whose state it holds.
    pub created_at: Moment,
    /// Tells keys apart.
    pub key_id: String,
    key: Derivation,
    /// Hex.
    salt: String,
}

/// An archive that is being written, under another name until it is whole.
pub(super) struct NewArchive {
    packer: Packer<BufWriter<File>>,
    part: PathBuf,
    path: PathBuf,
}

impl NewArchive {
    /// `path` must not exist.
    pub(super) fn create(path: &Path, kind: Kind, created_at: Moment, source: &KeySource) -> Outcome<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let (key, how) = Key::for_new(source)?;
        let salt = rand::random::<[u8; 32]>();
        let header = Header {
            format: FORMAT,
            kind,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            created_at,
            key_id: key.id(),
            key: how,
            salt: hex::encode(salt),
        };
        if path.exists() {
            return Err(Trouble(Text::key("backup-file-is-there").arg("file", path.display())));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!(".{name}.part"));
        let bytes = serde_json::to_vec(&header).map_err(|error| Trouble::of("backup-defect", error))?;
        let begin = || -> io::Result<_> {
            let options = File::options().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            let mut out = BufWriter::new(options);
            out.write_all(MARK)?;
            out.write_all(&u32::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes())?;
            out.write_all(&bytes)?;
            Sealer::new(out, &key, &salt, &bytes)
        };
        let sealer = begin().map_err(cannot("backup-unwritten", path))?;
        Ok(Self { packer: Packer::new(sealer), part, path: path.to_owned() })
    }

    pub(super) fn add(&mut self, name: &str, from: &mut impl Read) -> Outcome<Part> {
        self.packer.add(name, from).map_err(cannot("backup-unwritten", &self.path))
    }

    /// Writes the manifest and gives the file its name, once it is on the disk. Answers its size.
    pub(super) fn finish(mut self, manifest: &Manifest) -> Outcome<u64> {
        let text = serde_json::to_vec(manifest).map_err(|error| Trouble::of("backup-defect", error))?;
        self.add(MANIFEST, &mut text.as_slice())?;
        let Self { packer, part, path } = self;
        let name_it = || -> io::Result<u64> {
            let file = packer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()?;
            let bytes = file.metadata()?.len();
            std::fs::rename(&part, &path)?;
            sync_folder(&path)?;
            Ok(bytes)
        };
        name_it().map_err(cannot("backup-unwritten", &path))
    }

    /// Takes away what was written so far.
    pub(super) fn give_up(self) {
        let _ = std::fs::remove_file(&self.part);
    }
}

/// A new name is kept only once its folder is.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// Reads the header alone.
///
/// # Errors
/// When the file cannot be read, is no archive, or is one of a newer format.
pub fn header(path: &Path) -> Outcome<Header> {
    let mut file = File::open(path).map_err(cannot("backup-unread", path))?;
    Ok(read_header(path, &mut file)?.0)
}

/// The header, and its bytes.
fn read_header(path: &Path, from: &mut impl Read) -> Outcome<(Header, Vec<u8>)> {
    let none = || Trouble(Text::key("backup-no-archive").arg("file", path.display()));
    let mut exactly = |length: usize| -> Outcome<Vec<u8>> {
        let mut bytes = vec![0; length];
        match from.read_exact(&mut bytes) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(none()),
            Err(error) => Err(cannot("backup-unread", path)(error)),
        }
    };
    if exactly(MARK.len())? != MARK {
        return Err(none());
    }
    let length = exactly(4)?.try_into().map(u32::from_be_bytes).map_err(|_| none())?;
    let length = usize::try_from(length).ok().filter(|length| *length <= MAX_HEADER).ok_or_else(none)?;
    let bytes = exactly(length)?;
    let header: Header = serde_json::from_slice(&bytes).map_err(|_| none())?;
    if header.format != FORMAT {
        let text = Text::key("backup-newer-format").arg("file", path.display()).arg("version", &header.version);
        return Err(Trouble(text));
    }
    Ok((header, bytes))
}

/// An archive opened with its key.
pub(super) struct Archive {
    pub(super) header: Header,
    unpacker: Unpacker<BufReader<File>>,
    path: PathBuf,
}

impl Archive {
    pub(super) fn open(path: &Path, source: &KeySource) -> Outcome<Self> {
        let file = File::open(path).map_err(cannot("backup-unread", path))?;
        let mut from = BufReader::new(file);
        let (header, bytes) = read_header(path, &mut from)?;
        let key = Key::for_archive(source, &header.key)?;
        if key.id() != header.key_id {
            let text = Text::key("backup-wrong-key").arg("wanted", &header.key_id).arg("given", key.id());
            return Err(Trouble(text));
        }
        let salt = hex::decode(&header.salt).map_err(|_| Trouble(Text::key("backup-odd-header")))?;
        let opener = Opener::new(from, &key, &salt, &bytes).map_err(unreadable(path))?;
        Ok(Self { header, unpacker: Unpacker::new(opener), path: path.to_owned() })
    }

    /// Goes to the database's part.
    pub(super) fn database(&mut self) -> Outcome<&mut impl Read> {
        match self.unpacker.next_part().map_err(unreadable(&self.path))? {
            Some(name) if name == DATABASE => Ok(&mut self.unpacker),
            _ => Err(damage(&self.path)),
        }
    }

    /// Reads all of it without writing anything: that every chunk is whole, and that the database is what the manifest
    /// says.
    pub(super) fn check(mut self) -> Outcome<Checked> {
        let path = self.path.clone();
        let (mut database, mut manifest) = (None, None);
        while let Some(name) = self.unpacker.next_part().map_err(unreadable(&path))? {
            match name.as_str() {
                DATABASE => {
                    database = Some(pass_on(&mut self.unpacker, |_| Ok(())).map_err(unreadable(&path))?);
                }
                MANIFEST => {
                    let mut text = Vec::new();
                    let mut most = self.unpacker.by_ref().take(MAX_MANIFEST);
                    most.read_to_end(&mut text).map_err(unreadable(&path))?;
                    let read: Manifest = serde_json::from_slice(&text).map_err(|_| damage(&path))?;
                    manifest = Some(read);
                }
                // A part that a later version adds.
                _ => {}
            }
        }
        match (database, manifest) {
            (Some(part), Some(manifest)) if part.bytes == manifest.bytes && part.sha256 == manifest.sha256 => {
                Ok(Checked { header: self.header, manifest })
            }
            _ => Err(damage(&path)),
        }
    }
}

/// An archive that is whole.
pub struct Checked {
    pub header: Header,
    pub manifest: Manifest,
}

pub(super) fn damage(path: &Path) -> Trouble {
    Trouble(Text::key("backup-damaged").arg("file", path.display()))
}

/// What could not be read: damaged, or not to be had.
pub(super) fn unreadable(path: &Path) -> impl Fn(io::Error) -> Trouble {
    move |error| match error.kind() {
        // The decompressor's word for it is InvalidInput.
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => damage(path),
        _ => cannot("backup-unread", path)(error),
    }
}
