//! Unpacks `.gz`, `.xz` and `.zst` from file to file, without holding either in memory.
//!
//! Owns the three formats, and the bound on what may come out. Knows nothing of names and checksums.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::sums::{Hasher, Sums};

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    /// RFC 1952.
    Gzip,
    /// The .xz file format.
    Xz,
    /// RFC 8878.
    Zstd,
}

impl Packing {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Gzip => "packed with gzip",
            Self::Xz => "packed with xz",
            Self::Zstd => "packed with zstd",
        }
    }
}

/// Why nothing came out.
#[derive(Debug)]
pub(crate) enum UnpackError {
    /// The packed file is broken, or asks for absurd amounts of memory.
    Packed(io::Error),
    /// The other side cannot be written.
    Write(io::Error),
    /// More comes out than there is room for.
    TooLarge,
    /// The caller wanted no more.
    Stopped,
}

/// What a decoder may use: xz -9 needs 65 MiB, and nobody packs images with more than a few times that.
const MEMORY: u64 = 512 << 20;

const PIECE: usize = 1 << 20;

/// Unpacks `from` into `to`, which is made anew. What is all zeros is left as a hole. At most `room` bytes may come out,
/// holes included: what cannot be written in full later must not be accepted now, and a file that unpacks to petabytes
/// of nothing ends here too. `go_on` is asked after each piece, with the bytes so far.
pub(crate) fn unpack(
    packing: Packing,
    from: &Path,
    to: &Path,
    room: u64,
    go_on: &mut dyn FnMut(u64) -> bool,
) -> Result<Sums, UnpackError> {
    let mut reader = decoder(packing, File::open(from).map_err(UnpackError::Packed)?).map_err(UnpackError::Packed)?;
    let mut file = File::create(to).map_err(UnpackError::Write)?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; PIECE];
    loop {
        let filled = fill(&mut *reader, &mut buffer).map_err(UnpackError::Packed)?;
        if filled == 0 {
            break;
        }
        let piece = &buffer[..filled];
        hasher.add(piece);
        if hasher.length() > room {
            return Err(UnpackError::TooLarge);
        }
        write_sparse(&mut file, piece).map_err(UnpackError::Write)?;
        if !go_on(hasher.length()) {
            return Err(UnpackError::Stopped);
        }
    }
    // A hole at the end is only there once the length says so.
    file.set_len(hasher.length()).and_then(|()| file.sync_all()).map_err(UnpackError::Write)?;
    Ok(hasher.finish())
}

fn decoder(packing: Packing, file: File) -> io::Result<Box<dyn Read>> {
    let packed = BufReader::with_capacity(PIECE, file);
    Ok(match packing {
        // All three formats may be several files one after the other (`cat a.gz b.gz`, or packed by several threads).
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Xz => {
            let stream = liblzma::stream::Stream::new_stream_decoder(MEMORY, liblzma::stream::CONCATENATED)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(packed, stream))
        }
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
    })
}

/// Reads until the buffer is full or nothing is left, so that zeros are found in whole pieces.
fn fill(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

const BLOCK: usize = 64 << 10;

fn write_sparse(file: &mut File, piece: &[u8]) -> io::Result<()> {
    for block in piece.chunks(BLOCK) {
        if block.iter().all(|byte| *byte == 0) {
            file.seek(SeekFrom::Current(i64::try_from(block.len()).expect("a block is small")))?;
        } else {
            file.write_all(block)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("packs")
            }
            Packing::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
                encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("packs")
            }
            Packing::Zstd => zstd::encode_all(bytes, 1).expect("packs"),
        }
    }

    fn content() -> Vec<u8> {
        let mut bytes = vec![0; 3 << 20];
        for (at, byte) in bytes.iter_mut().enumerate().take(1 << 20) {
            *byte = u8::try_from(at % 251).expect("small");
        }
        bytes.extend_from_slice(b"the end");
        bytes.extend_from_slice(&[0; 5000]);
        bytes
    }

    const ALL: [Packing; 3] = [Packing::Gzip, Packing::Xz, Packing::Zstd];

    #[test]
    fn what_was_packed_comes_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        let bytes = content();
        for packing in ALL {
            // Two files in one, as packers that use several threads write them.
            let (first, second) = bytes.split_at(1 << 20);
            std::fs::write(&from, [packed(packing, first), packed(packing, second)].concat()).expect("written");
            let sums = unpack(packing, &from, &to, u64::MAX, &mut |_| true).expect("unpacks");
            assert!(std::fs::read(&to).expect("there") == bytes, "{packing:?}");
            assert_eq!(sums.length, bytes.len() as u64);
        }
    }

    #[test]
    fn zeros_take_no_room_on_the_disk() {
        use std::os::unix::fs::MetadataExt as _;
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, packed(Packing::Zstd, &vec![0; 32 << 20])).expect("written");
        unpack(Packing::Zstd, &from, &to, u64::MAX, &mut |_| true).expect("unpacks");
        let metadata = std::fs::metadata(&to).expect("there");
        assert_eq!(metadata.len(), 32 << 20);
        assert!(metadata.blocks() * 512 < 1 << 20, "{} blocks", metadata.blocks());
    }

    #[test]
    fn what_was_cut_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for packing in ALL {
            let whole = packed(packing, &content());
            std::fs::write(&from, &whole[..whole.len() - 20]).expect("written");
            let error = unpack(packing, &from, &to, u64::MAX, &mut |_| true).expect_err("cut");
            assert!(matches!(error, UnpackError::Packed(_)), "{packing:?}: {error:?}");
        }
    }

    #[test]
    fn a_bomb_is_stopped() {
        let folder = tempfile::tempdir().expect("a folder");
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        std::fs::write(&from, packed(Packing::Zstd, &vec![0; 64 << 20])).expect("written");
        let mut most = 0;
        let error = unpack(Packing::Zstd, &from, &to, 8 << 20, &mut |so_far| {
            most = so_far;
            true
        });
        assert!(matches!(error, Err(UnpackError::TooLarge)), "{error:?}");
        assert!(most <= 8 << 20, "{most} bytes came out");
    }
}
