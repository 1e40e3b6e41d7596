use std::ffi::{c_char, c_void};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::build::Profile;
use crate::error::SimError;
use crate::model::Model;

/// A model in C++; never touched from here.
pub(crate) type Handle = *mut c_void;

/// `Port` of `shim.cpp`.
#[repr(C)]
pub(crate) struct RawPort {
    pub(crate) name: *const c_char,
    pub(crate) bits: u32,
    pub(crate) direction: u32,
    pub(crate) data: *mut c_void,
}

/// `Interface` of `shim.cpp`: the functions of a model, in the same order and with the same types.
#[repr(C)]
pub(crate) struct Interface {
    pub(crate) create: unsafe extern "C" fn(i32, i32, *mut i32) -> Handle,
    pub(crate) destroy: unsafe extern "C" fn(Handle),
    pub(crate) ports: unsafe extern "C" fn(Handle, *mut u64) -> *const RawPort,
    pub(crate) eval: unsafe extern "C" fn(Handle) -> i32,
    pub(crate) step: unsafe extern "C" fn(Handle) -> i32,
    pub(crate) tick: unsafe extern "C" fn(Handle, u64) -> i32,
    pub(crate) trace_open: unsafe extern "C" fn(Handle, *const c_char) -> i32,
    pub(crate) trace_close: unsafe extern "C" fn(Handle) -> i32,
    pub(crate) coverage_write: unsafe extern "C" fn(Handle, *const c_char) -> i32,
    pub(crate) output: unsafe extern "C" fn(Handle, *mut u64) -> *const c_char,
    pub(crate) output_clear: unsafe extern "C" fn(Handle),
    pub(crate) cycles: unsafe extern "C" fn(Handle) -> u64,
    pub(crate) finished: unsafe extern "C" fn(Handle) -> i32,
}

/// A built design, loaded. Cheap to clone; any number of models can be made of it.
#[derive(Clone)]
pub struct Library {
    loaded: Arc<Loaded>,
    profile: Profile,
    clock: String,
}

struct Loaded {
    interface: &'static Interface,
    path: PathBuf,
}

impl std::fmt::Debug for Library {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path();
        formatter
            .debug_struct("Library")
            .field("path", &path)
            .field("profile", &self.profile)
            .finish()
    }
}

impl Library {
    pub(crate) fn open(path: PathBuf, profile: Profile, clock: &str) -> Result<Self, SimError> {
        let failed = |source| SimError::Load {
            path: path.clone(),
            source,
        };
        type Entry = unsafe extern "C" fn() -> *const Interface;
        // SAFETY: the file was built from shim.cpp by this crate (its name is a hash that covers shim.cpp), so its
        // initializers are those of Verilator's run-time library, and `bitweft_model` has this type and returns a
        // pointer to a constant. The object is linked with `-z nodelete`: what it holds is never unmapped.
        let interface = unsafe {
            let library = libloading::Library::new(&path).map_err(failed)?;
            let entry = library.get::<Entry>(b"bitweft_model\0").map_err(failed)?;
            &*entry()
        };
        Ok(Self {
            loaded: Arc::new(Loaded { interface, path }),
            profile,
            clock: clock.to_owned(),
        })
    }

    /// Makes a model. With [`Profile::Fast`] the seed does nothing; otherwise registers, memories and `x` start with
    /// bits that depend on it alone.
    ///
    /// # Errors
    /// [`SimError::Stopped`] if the design fails while it is made.
    pub fn instantiate(&self, seed: u64) -> Result<Model, SimError> {
        Model::new(self.clone(), seed)
    }

    /// The shared object in the cache. Two builds of the same design have the same.
    pub fn path(&self) -> &Path {
        &self.loaded.path
    }

    /// What the library was built for.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(crate) fn clock(&self) -> &str {
        &self.clock
    }

    pub(crate) fn interface(&self) -> &'static Interface {
        self.loaded.interface
    }
}
