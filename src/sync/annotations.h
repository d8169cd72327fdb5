// Clang's thread-safety attributes under our names; nothing with other compilers. tests/arch compiles with
// them: data that names its lock cannot be touched without it.
//
//   sync::Mutex mutex_{sync::LockName::kSession};
//   std::deque<Job> jobs_ HF_GUARDED_BY(mutex_);
//   void Start() HF_REQUIRES(mutex_);   the caller holds it
//   void Go() HF_EXCLUDES(mutex_);      the caller does not
//
// A lambda is a function of its own to the analysis: instead of a predicate for a wait, write the loop.
#ifndef HOLDFAST_SYNC_ANNOTATIONS_H_
#define HOLDFAST_SYNC_ANNOTATIONS_H_

#if defined(__clang__)
#define HF_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define HF_THREAD_ATTRIBUTE(x)
#endif

// -- on data
#define HF_GUARDED_BY(x) HF_THREAD_ATTRIBUTE(guarded_by(x))        // reading needs it shared, writing alone
#define HF_PT_GUARDED_BY(x) HF_THREAD_ATTRIBUTE(pt_guarded_by(x))  // what the pointer leads to
#define HF_ACQUIRED_BEFORE(...) HF_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
#define HF_ACQUIRED_AFTER(...) HF_THREAD_ATTRIBUTE(acquired_after(__VA_ARGS__))

// -- on functions
#define HF_REQUIRES(...) HF_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define HF_REQUIRES_SHARED(...) HF_THREAD_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define HF_EXCLUDES(...) HF_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define HF_ACQUIRE(...) HF_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define HF_ACQUIRE_SHARED(...) HF_THREAD_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define HF_RELEASE(...) HF_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define HF_RELEASE_SHARED(...) HF_THREAD_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define HF_RELEASE_GENERIC(...) HF_THREAD_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define HF_TRY_ACQUIRE(...) HF_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define HF_RETURN_CAPABILITY(x) HF_THREAD_ATTRIBUTE(lock_returned(x))
#define HF_NO_THREAD_SAFETY_ANALYSIS HF_THREAD_ATTRIBUTE(no_thread_safety_analysis)  // say why

// -- on classes
#define HF_CAPABILITY(x) HF_THREAD_ATTRIBUTE(capability(x))
#define HF_SCOPED_CAPABILITY HF_THREAD_ATTRIBUTE(scoped_lockable)

#endif  // HOLDFAST_SYNC_ANNOTATIONS_H_
