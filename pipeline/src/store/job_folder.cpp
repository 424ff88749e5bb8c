#include "store/job_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <limits>

#include <fmt/format.h>

#include <graft/error.h>
#include <graft/hash.h>
#include <graft/value_path.h>

#include "base/attempt.h"
#include "store/manifest.h"

namespace graft {
namespace fs = std::filesystem;
namespace {

/// Where locks do not tell, a worker that has not written its record for this long counts as dead.
constexpr double kSilentSeconds = 60;

/// Keeps others from making or dropping a job meanwhile; where there are no locks, nothing does.
class JobLock {
 public:
  explicit JobLock(const fs::path& job) {
    make_folders(job.parent_path());
    const fs::path path = job.parent_path() / ("." + job.filename().string() + ".lock");
    file_ = FileHandle(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
    if (!file_) throw Error(file_error("create", path, errno));
    while (::flock(file_.get(), LOCK_EX) != 0 && errno == EINTR) {
    }
  }

 private:
  FileHandle file_;
};

double mtime_of(const struct stat& info) {
  return static_cast<double>(info.st_mtim.tv_sec) + 1e-9 * static_cast<double>(info.st_mtim.tv_nsec);
}

/// Now, by the clock that stamps the files of the folder: machines' own clocks may be hours apart.
double now_in(const fs::path& folder) {
  const fs::path probe = folder / fmt::format("{}.clock.tmp", new_attempt());
  const FileHandle file(::open(probe.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  struct stat info {};
  const bool told = file && ::write(file.get(), "x", 1) == 1 && ::fstat(file.get(), &info) == 0;
  if (file) ::unlink(probe.c_str());
  return told ? mtime_of(info) : static_cast<double>(std::time(nullptr));
}

/// Whether the worker holds its lease; nothing where a lock does not tell.
std::optional<bool> holds_lease(const fs::path& lease) {
  const FileHandle file(::open(lease.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return errno == ENOENT ? std::optional(false) : std::nullopt;
  if (::flock(file.get(), LOCK_SH | LOCK_NB) != 0)
    return errno == EWOULDBLOCK ? std::optional(true) : std::nullopt;
  return locks_tell_of(lease, file.get()) ? std::optional(false) : std::nullopt;
}

/// Counts as pairs [how often, count], one for each run of equal ones.
Value value_of(const std::vector<std::uint32_t>& counts) {
  Value out = Value::list();
  for (std::size_t i = 0; i < counts.size();) {
    std::size_t end = i + 1;
    while (end < counts.size() && counts[end] == counts[i]) ++end;
    out.push(Value::List{Value(static_cast<std::uint64_t>(end - i)),
                         Value(static_cast<std::uint64_t>(counts[i]))});
    i = end;
  }
  return out;
}

Value value_of(const WorkerRecord& r) {
  return Value::Map{{"shard", r.shard.text()},
                    {"state", r.state},
                    {"host", r.host},
                    {"place", r.place},
                    {"cpu_isa", r.cpu_isa},
                    {"pid", Value(r.pid)},
                    {"error", r.error},
                    {"done", to_value(r.done)},
                    {"open", to_value(r.open)},
                    {"finished", value_of(r.finished)},
                    {"rejected", value_of(r.rejected)},
                    {"open_listed", Value(r.open_listed)},
                    {"all_listed", r.all_listed},
                    {"total", Value(r.total)},
                    {"rate", Value(r.rate)},
                    {"seconds", Value(r.seconds)}};
}

const Value& member(const Value& v, const char* key) {
  const Value* found = v.find(key);
  if (found == nullptr) throw Error(fmt::format("'{}' is missing", key));
  return *found;
}

std::uint64_t count_from(const Value& v, const char* key) {
  const std::int64_t n = member(v, key).as_int();
  if (n < 0) throw Error(fmt::format("'{}' is negative", key));
  return static_cast<std::uint64_t>(n);
}

std::vector<std::uint32_t> counts_from(const Value& runs, std::size_t slots) {
  std::vector<std::uint32_t> out;
  for (const Value& run : runs.as_list()) {
    const Value::List& pair = run.as_list();
    if (pair.size() != 2 || pair[0].as_int() < 1 || pair[1].as_int() < 0 ||
        pair[1].as_int() > std::numeric_limits<std::uint32_t>::max() ||
        static_cast<std::uint64_t>(pair[0].as_int()) > slots - out.size())
      throw Error("no counts of slots");
    out.insert(out.end(), static_cast<std::size_t>(pair[0].as_int()),
               static_cast<std::uint32_t>(pair[1].as_int()));
  }
  if (out.size() != slots) throw Error("no counts of slots");
  return out;
}

WorkerRecord record_from(const Value& v) {
  WorkerRecord r;
  r.shard = WorkShard::parse(member(v, "shard").as_string());
  r.state = member(v, "state").as_string();
  r.host = member(v, "host").as_string();
  r.place = member(v, "place").as_string();
  r.cpu_isa = member(v, "cpu_isa").as_string();
  r.pid = member(v, "pid").as_int();
  r.error = member(v, "error").as_string();
  r.done = slots_from(member(v, "done"));
  r.open = slots_from(member(v, "open"));
  const std::size_t slots = (r.done | r.open).count();
  r.finished = counts_from(member(v, "finished"), slots);
  r.rejected = counts_from(member(v, "rejected"), slots);
  r.open_listed = count_from(v, "open_listed");
  r.total = count_from(v, "total");
  r.all_listed = member(v, "all_listed").as_bool();
  r.rate = member(v, "rate").as_double();
  r.seconds = member(v, "seconds").as_double();
  return r;
}

fs::path claim_path(const fs::path& job, std::uint64_t number) {
  return job / "claims" / fmt::format("{:08}", number);
}

/// Nothing where there is no such file. Throws Unreadable.
std::optional<std::string> read_if_there(const fs::path& path) {
  try {
    return read_file(path);
  } catch (const Unreadable&) {
    throw;
  } catch (const Error&) {
    return std::nullopt;
  }
}

}  // namespace

JobFolder::JobFolder(const fs::path& store, const std::string& name) : path_(store / "jobs" / name) {}

bool JobFolder::exists() const {
  std::error_code error;
  return fs::exists(path_ / "job.json", error);
}

Value JobFolder::description() const {
  try {
    return Value::from_json(read_file(path_ / "job.json"));
  } catch (const Unreadable&) {
    throw;
  } catch (const Error& e) {
    throw Error(fmt::format("{}: not the description of a job: {}", (path_ / "job.json").string(), e.what()));
  }
}

std::map<std::string, std::string> JobFolder::tables() const {
  std::map<std::string, std::string> out;
  const Value job = description();
  for (const auto& [stage, made_by] : map_at(job, {"tables"})) {
    Value fingerprint = Value::map();
    for (const auto& [key, value] : made_by.as_map())
      if (key != "ids") fingerprint[key] = value;  // names of stages: rows do not depend on them
    out[stage] = digest(fingerprint.to_json()).hex();
  }
  return out;
}

bool JobFolder::join(const Value& description, const std::function<void()>& enter) const {
  const JobLock lock(path_);
  if (exists() && this->description().to_json() != description.to_json()) {
    if (merged().empty()) return false;
    drop();
  }
  begin(description);
  if (enter) enter();
  return true;
}

void JobFolder::restart(const Value& description) const {
  const JobLock lock(path_);
  drop();
  begin(description);
}

void JobFolder::begin(const Value& description) const {
  for (const char* folder : {"claims", "workers", "logs"}) make_folders(path_ / folder);
  if (!exists()) write_file_atomically(path_ / "job.json", description.to_json_pretty());
  std::error_code none;
  fs::remove(path_ / "merged.json", none);
}

/// Names a worker of the job that is running, or may be; empty: none is.
std::string JobFolder::living_worker() const {
  const std::map<std::string, WorkerRecord> known = workers();
  for (const auto& [attempt, worker] : known)
    if (worker.alive)
      return fmt::format("shard {} on {} (process {})", worker.shard.text(), worker.host, worker.pid);
  // One whose record cannot be read.
  for (const fs::path& lease : files_in(path_ / "workers", ".lease")) {
    if (known.contains(lease.stem().string())) continue;
    double last = 0;
    for (const fs::path& file : {lease, fs::path(lease).replace_extension(".json")})
      if (struct stat info{}; ::stat(file.c_str(), &info) == 0) last = std::max(last, mtime_of(info));
    if (const auto holds = holds_lease(lease);
        holds ? *holds : now_in(path_ / "workers") - last < kSilentSeconds)
      return "the one of " + lease.string();
  }
  return {};
}

void JobFolder::drop() const {
  if (const std::string worker = living_worker(); !worker.empty())
    throw Error(
        fmt::format("{}: a worker of this job is running: {}; stop it first", path_.string(), worker));
  // In one step: nobody sees half of a job.
  const fs::path away = path_.parent_path() / fmt::format(".{}.{}", path_.filename().string(), new_attempt());
  std::error_code error;
  fs::rename(path_, away, error);
  if (error == std::errc::no_such_file_or_directory) return;
  if (error) throw Error(fmt::format("cannot rename {}: {}", path_.string(), error.message()));
  fs::remove_all(away, error);
}

bool JobFolder::mark_merged(const Value& description, const fs::path& run) const {
  const JobLock lock(path_);
  if (!exists() || this->description().to_json() != description.to_json()) return false;
  Value v = Value::Map{{"run", fs::absolute(run).lexically_normal().string()},
                       {"time", Value(static_cast<std::int64_t>(std::time(nullptr)))}};
  write_file_atomically(path_ / "merged.json", v.to_json_pretty());
  return true;
}

std::string JobFolder::merged() const {
  try {
    return member(Value::from_json(read_file(path_ / "merged.json")), "run").as_string();
  } catch (const Error&) {
    return {};
  }
}

bool JobFolder::remove_merged(const std::function<bool()>& is_wanted) const {
  const JobLock lock(path_);
  if (merged().empty() || !living_worker().empty() || !is_wanted()) return false;
  drop();
  return true;
}

std::vector<JobFolder::Claim> JobFolder::claims_after(std::uint64_t number) const {
  std::vector<Claim> out;
  // By name, not from a listing: a network file system may list a new file before an older one, and the older
  // one would be passed over for ever.
  while (const std::optional<std::string> text = read_if_there(claim_path(path_, ++number))) try {
      const Value v = Value::from_json(*text);
      out.push_back({number, member(v, "worker").as_string(), slots_from(member(v, "slots"))});
    } catch (const Error& e) {
      throw Error(fmt::format("{}: not a claim of a worker: {}; graft launch --restart begins the job again",
                              claim_path(path_, number).string(), e.what()));
    }
  return out;
}

bool JobFolder::add_claim(std::uint64_t number, const std::string& worker, const SlotSet& slots) const {
  Value v = Value::Map{{"worker", worker}, {"slots", graft::to_value(slots)}};
  const std::string text = v.to_json();
  return write_new_file(claim_path(path_, number), [&](int fd, const fs::path& path) {
    write_all(fd, {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()}, path);
  });
}

std::map<std::string, WorkerRecord> JobFolder::workers() const {
  std::map<std::string, WorkerRecord> out;
  const std::vector<fs::path> files = files_in(path_ / "workers", ".json");
  if (files.empty()) return out;
  const double now = now_in(path_ / "workers");
  for (const fs::path& path : files) {
    WorkerRecord record;
    try {
      record = record_from(Value::from_json(read_file(path)));
    } catch (const Error&) {  // of another version, or on a disk that is failing: it says nothing
      continue;
    }
    record.attempt = path.stem().string();
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0) record.silent = std::max(0.0, now - mtime_of(info));
    const auto holds = holds_lease(fs::path(path).replace_extension(".lease"));
    record.alive = record.state == "running" && holds.value_or(record.silent < kSilentSeconds);
    out.emplace(record.attempt, std::move(record));
  }
  return out;
}

std::vector<std::string> JobFolder::names_in(const fs::path& store) {
  std::vector<std::string> out;
  for (const fs::path& path : files_in(store / "jobs", ""))
    if (JobFolder(store, path.filename().string()).exists()) out.push_back(path.filename().string());
  return out;
}

std::vector<fs::path> JobFolder::dropped_in(const fs::path& store) {
  std::vector<fs::path> out;
  std::error_code error;
  for (fs::directory_iterator it(store / "jobs", error), end; !error && it != end; it.increment(error))
    if (std::error_code gone; it->path().filename().string().starts_with('.') && it->is_directory(gone))
      out.push_back(it->path());
  return out;
}

void SlotOwners::update(const JobFolder& job) {
  for (const JobFolder::Claim& claim : job.claims_after(last_)) {
    last_ = claim.number;
    const auto at = std::find(workers_.begin(), workers_.end(), claim.worker);
    const auto index = static_cast<std::uint32_t>(at - workers_.begin());
    if (at == workers_.end()) workers_.push_back(claim.worker);
    for (std::size_t slot = claim.slots._Find_first(); slot < kSlots; slot = claim.slots._Find_next(slot))
      owner_[slot] = index;
  }
}

SlotSet SlotOwners::owned_by(const std::string& worker) const {
  SlotSet out;
  const auto at = std::find(workers_.begin(), workers_.end(), worker);
  if (at == workers_.end()) return out;
  const auto index = static_cast<std::uint32_t>(at - workers_.begin());
  for (std::size_t slot = 0; slot < kSlots; ++slot)
    if (owner_[slot] == index) out.set(slot);
  return out;
}

SlotSet SlotOwners::claimed() const {
  SlotSet out;
  for (std::size_t slot = 0; slot < kSlots; ++slot)
    if (owner_[slot] != 0) out.set(slot);
  return out;
}

const std::string& SlotOwners::owner(std::size_t slot) const {
  return workers_[owner_[slot]];
}

WorkerLease::WorkerLease(const JobFolder& job, const std::string& attempt)
    : record_(job.path() / "workers" / (attempt + ".json")) {
  const fs::path lease = fs::path(record_).replace_extension(".lease");
  // It gets its name when it is locked: nobody takes a worker that has just begun for a dead one.
  const fs::path temporary = lease.string() + ".tmp";
  lock_ = FileHandle(::open(temporary.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
  if (!lock_) throw Error(file_error("create", temporary, errno));
  ::flock(lock_.get(), LOCK_EX | LOCK_NB);
  if (::rename(temporary.c_str(), lease.c_str()) != 0) throw Error(file_error("rename to", lease, errno));
}

void WorkerLease::write(const WorkerRecord& record) const {
  write_file_atomically(record_, value_of(record).to_json());
}

}  // namespace graft
