/* What libfaketime leaves out, for a process whose wall clock a test sets: the kernel's word on whether that clock is
 * synchronised (adjtimex; true while the file NTP_SYNCED exists), and sleeping until a monotonic time, which libfaketime
 * 0.9.10 refuses when told to leave the monotonic clocks alone. Built without headers or libraries, so that a compiler
 * is all it takes. */

extern long syscall(long number, ...);
extern char *getenv(const char *name);
extern int access(const char *path, int mode);
extern int *__errno_location(void);

#if defined(__x86_64__)
#define CLOCK_NANOSLEEP 230
#elif defined(__aarch64__)
#define CLOCK_NANOSLEEP 115
#else
#error "which number has clock_nanosleep here?"
#endif

struct timex_head {
  unsigned int modes;
  long offset, freq, maxerror, esterror;
  int status;
};

int adjtimex(struct timex_head *told) {
  const char *path = getenv("NTP_SYNCED");
  int is_synced = path && access(path, 0) == 0;
  told->maxerror = is_synced ? 20000 : 16000000; /* microseconds */
  told->status = is_synced ? 0 : 0x40;           /* STA_UNSYNC */
  return is_synced ? 0 : 5;                      /* TIME_ERROR */
}

int clock_nanosleep(int clock, int flags, const void *until, void *left) {
  return syscall(CLOCK_NANOSLEEP, (long)clock, (long)flags, until, left) == 0 ? 0 : *__errno_location();
}
