#include <graft/params.h>
#include <graft/text.h>

#include <fnmatch.h>

#include <algorithm>
#include <string>

namespace graft {
namespace {

ParamSpec spec(std::string name, ParamSpec::Kind kind) {
  ParamSpec s;
  s.name = std::move(name);
  s.kind = kind;
  return s;
}

std::string listed(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& w : words) out += (out.empty() ? "" : ", ") + w;
  return out;
}

}  // namespace

ParamSpec flag(std::string name, bool default_value) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Flag);
  s.default_value = default_value;
  return s;
}
ParamSpec integer(std::string name, std::optional<std::int64_t> default_value) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Integer);
  if (default_value) s.default_value = *default_value;
  return s;
}
ParamSpec number(std::string name, std::optional<double> default_value) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Number);
  if (default_value) s.default_value = *default_value;
  return s;
}
ParamSpec text(std::string name, std::optional<std::string> default_value) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Text);
  if (default_value) s.default_value = *default_value;
  return s;
}
ParamSpec choice(std::string name, std::vector<std::string> allowed,
                 std::optional<std::string> default_value) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Choice);
  s.choices = std::move(allowed);
  if (default_value) s.default_value = *std::move(default_value);
  return s;
}
ParamSpec service(std::string name, std::string default_value) {
  ParamSpec s = choice(std::move(name), {}, std::move(default_value));
  s.service = s.name;
  return s;
}
ParamSpec file(std::string name) {
  return spec(std::move(name), ParamSpec::Kind::File);
}
ParamSpec folder(std::string name) {
  return spec(std::move(name), ParamSpec::Kind::Folder);
}
ParamSpec list(std::string name, ParamSpec element) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::List);
  s.fields.push_back(std::move(element));
  return s;
}
ParamSpec map(std::string name, ParamSpec element) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Map);
  s.fields.push_back(std::move(element));
  return s;
}
ParamSpec object(std::string name, std::vector<ParamSpec> members) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::Object);
  s.fields = std::move(members);
  return s;
}

ParamSpec one_of(std::string name, std::vector<ParamSpec> alternatives) {
  ParamSpec s = spec(std::move(name), ParamSpec::Kind::OneOf);
  s.fields = std::move(alternatives);
  return s;
}

std::string ParamSpec::type_name() const {
  switch (kind) {
    case Kind::Flag:
      return "true or false";
    case Kind::Integer:
      return choices.empty() ? "integer" : "integer, or one of " + listed(choices);
    case Kind::Number:
      return "number";
    case Kind::Text:
      return "text";
    case Kind::Choice:
      return "one of " + listed(choices);
    case Kind::File:
      return (folder_files.empty() ? "file" : "file or folder") +
             (choices.empty() ? "" : ", or one of " + listed(choices));
    case Kind::Folder:
      return "folder";
    case Kind::List: {
      const std::string of = fields.at(0).type_name();
      return (scalar_ok ? of + ", or list of " : "list of ") + of;
    }
    case Kind::Map:
      return "map of " + fields.at(0).type_name();
    case Kind::Object:
      return (scalar_ok ? fields.at(0).type_name() + ", or map with " : "map with ") + listed(names());
    case Kind::OneOf:
      return "one of " + listed(names());
  }
  return "";
}

bool ParamSpec::is_called(std::string_view word) const {
  return name == word || (!former_name.empty() && former_name == word);
}

std::vector<std::string> ParamSpec::names() const {
  std::vector<std::string> out;
  for (const ParamSpec& f : fields) out.push_back(f.name);
  return out;
}

bool ParamSpec::counts_in_folder(std::string_view name) const {
  return std::any_of(folder_files.begin(), folder_files.end(),
                     [file = std::string(name)](const std::string& pattern) {
                       return ::fnmatch(pattern.c_str(), file.c_str(), 0) == 0;
                     });
}

bool ParamSpec::is_path(std::string_view value) const {
  return choices.empty() || value.find_first_of("/.") != std::string_view::npos;
}

std::vector<std::pair<std::string, Params>> Params::alternatives(std::string_view name) const {
  std::vector<std::pair<std::string, Params>> out;
  for (const Value& v : raw(name).as_list()) {
    const auto& [chosen, members] = v.as_map().at(0);
    out.emplace_back(chosen, Params(members));
  }
  return out;
}

const Value& Params::raw(std::string_view name) const {
  if (const Value* v = value_.find(name)) return *v;
  throw Error("the plugin reads parameter '" + std::string(name) + "', which its schema does not declare");
}

std::optional<std::string> nearest(std::string_view wrong, const std::vector<std::string>& names) {
  // Nobody mistypes a name of that length; the table below would grow with its square.
  constexpr std::size_t kLongest = 200;
  std::optional<std::string> best;
  if (wrong.size() > kLongest) return best;
  std::size_t best_distance = std::max<std::size_t>(1, wrong.size() / 3) + 1;
  for (const std::string& name : names) {
    if (name.size() >= wrong.size() + best_distance || wrong.size() >= name.size() + best_distance) continue;
    // Damerau-Levenshtein (optimal string alignment): swapped neighbours count once.
    const std::size_t n = wrong.size(), m = name.size();
    std::vector<std::vector<std::size_t>> d(n + 1, std::vector<std::size_t>(m + 1));
    for (std::size_t i = 0; i <= n; ++i) d[i][0] = i;
    for (std::size_t j = 0; j <= m; ++j) d[0][j] = j;
    for (std::size_t i = 1; i <= n; ++i) {
      for (std::size_t j = 1; j <= m; ++j) {
        const std::size_t substitution = d[i - 1][j - 1] + (wrong[i - 1] == name[j - 1] ? 0 : 1);
        d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, substitution});
        if (i > 1 && j > 1 && wrong[i - 1] == name[j - 2] && wrong[i - 2] == name[j - 1])
          d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
    if (d[n][m] < best_distance) {
      best_distance = d[n][m];
      best = name;
    }
  }
  return best;
}

std::string suggestion(std::string_view wrong, const std::vector<std::string>& names) {
  const auto near = nearest(wrong, names);
  return near ? "; did you mean '" + *near + "'?" : "";
}

}  // namespace graft
