// admin, and what verify and passphrase ask of a server that is running: all through the admin port.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cli/cli.h"
#include "cli/failure.h"
#include "cli/kv_internal.h"
#include "cli/served.h"
#include "cli/status.h"
#include "cli/store_access.h"
#include "cli/store_commands_internal.h"
#include "cli/text.h"
#include "host/runtime/anchor_file.h"
#include "sdk/client.h"

namespace holdfast::cli {
std::unique_ptr<sdk::AdminClient> ConnectAdmin(const std::string& server_yaml) {
  if (server_yaml.empty()) FailWith(Code::kUsage, "usage: -c server.yaml is missing");
  (void)ReadServerYaml(server_yaml);  // its mistakes are named before those of its neighbour
  return Take(sdk::AdminClient::Connect(ReadClientYaml(ClientYamlBeside(server_yaml))), "connect");
}

namespace {

struct AdminArguments {
  std::string config, name, serial, out;
  bool json = false, administrator = false;
};

int SaveState(const AdminArguments& a) {
  uint64_t index = Take(ConnectAdmin(a.config)->SaveState(), "admin save-state");
  PrintLine(a.json ? JsonLine().Number("index", index).str() : "saved up to index " + std::to_string(index));
  return 0;
}

int ShowStatus(const AdminArguments& a) {
  sdk::ServerStatus s = Take(ConnectAdmin(a.config)->GetStatus(), "admin status");
  if (a.json) {
    PrintLine(StatusJson(s));
  } else {
    for (const std::string& line : StatusLines(s)) PrintLine(line);
  }
  return 0;
}

// A directory of its own, so that client.yaml, ca.pem and client.pem travel together.
void WriteClientDirectory(const AdminArguments& a, const sdk::NewClient& client) {
  namespace fs = std::filesystem;
  sdk::ClientConfig known = ReadClientYaml(ClientYamlBeside(a.config));
  std::error_code ignored;
  if (::mkdir(a.out.c_str(), 0700) != 0)
    Fail(a.out, fs::exists(a.out, ignored) ? Code::kExists : Code::kPermission);
  Need(host::ReplaceFile(a.out + "/client.pem", client.pem.view(), 0600), a.out + "/client.pem");
  Need(host::ReplaceFile(a.out + "/ca.pem", AsBytes(client.ca_pem), 0644), a.out + "/ca.pem");
  std::string port_file = fs::absolute(known.port_file, ignored).string();
  std::string admin_port_file = fs::absolute(known.admin_port_file, ignored).string();
  std::string yaml = "Server:\n  Address: " + known.address + "\n";
  yaml +=
      known.port != 0 ? "  Port: " + std::to_string(known.port) + "\n" : "  PortFile: '" + port_file + "'\n";
  yaml += "  StoreId: '" + known.store_id + "'\n  CaFile: ca.pem\n  ClientFile: client.pem\n";
  yaml += "Administrator:\n  Address: " + known.admin_address + "\n  PortFile: '" + admin_port_file + "'\n";
  Need(host::ReplaceFile(a.out + "/client.yaml", AsBytes(yaml), 0644), a.out + "/client.yaml");
}

int AddClient(const AdminArguments& a) {
  std::error_code ignored;
  if (std::filesystem::exists(a.out, ignored))
    Fail(a.out, Code::kExists);  // before a certificate is made for nothing
  auto admin = ConnectAdmin(a.config);
  sdk::NewClient client = Take(admin->AddClient(a.name, a.administrator), "admin client add");
  WriteClientDirectory(a, client);
  PrintLine(a.json ? JsonLine().Text("serial", client.serial).Text("client", a.out + "/client.yaml").str()
                   : "client " + client.serial + " in " + a.out + "/client.yaml");
  return 0;
}

int RevokeClient(const AdminArguments& a) {
  Need(ConnectAdmin(a.config)->RevokeClient(a.serial), "admin client revoke");
  PrintLine(a.json ? JsonLine().Text("revoked", a.serial).str() : "revoked " + a.serial);
  return 0;
}

int ListClients(const AdminArguments& a) {
  for (const sdk::ClientEntry& c : Take(ConnectAdmin(a.config)->ListClients(), "admin client list")) {
    if (a.json) {
      JsonLine line;
      line.Text("serial", c.serial).Text("name", c.name).Bool("admin", c.admin);
      PrintLine(line.Bool("revoked", c.revoked).str());
    } else {
      PrintLine(c.serial + "\t" + (c.admin ? "admin" : "user") + "\t" + (c.revoked ? "revoked" : "valid") +
                "\t" + c.name);
    }
  }
  return 0;
}

}  // namespace

int VerifyServed(const std::string& server_yaml, bool require_fresh, const std::string& anchor, bool json) {
  std::vector<std::string> lines;
  Bytes carried;
  if (!anchor.empty()) carried = ReadAnchor(anchor, true).value_or(Bytes());
  auto line = [&](const std::string& text) { json ? lines.push_back(JsonString(text)) : PrintLine(text); };
  Status verdict = ConnectAdmin(server_yaml)->Verify(require_fresh, carried, line);
  if (json) {
    JsonLine report;
    report.Text("verdict", verdict ? "ok" : CodeName(verdict.code()));
    PrintLine(report.Raw("lines", JsonArray(lines)).str());
  }
  Need(verdict, "verify");
  if (!json) PrintLine("verified");
  return 0;
}

void AddAdmin(CLI::App& app, Chosen& chosen) {
  auto a = std::make_shared<AdminArguments>();
  auto add = [a, &chosen](CLI::App& parent, const char* name, const char* what, const std::string& example,
                          int (*f)(const AdminArguments&)) {
    CLI::App* c = parent.add_subcommand(name, what);
    c->add_option("-c,--config", a->config, "server.yaml; client.yaml lies beside it");
    c->add_flag("--json", a->json, "print JSON");
    c->footer("Example:\n  holdfast admin -c D/server.yaml " + example);
    c->callback([a, f, &chosen] { chosen = [a, f] { return f(*a); }; });
    return c;
  };
  CLI::App* admin = app.add_subcommand("admin", "Administration of a running server, over its admin port.");
  admin->add_option("-c,--config", a->config, "server.yaml; client.yaml lies beside it");
  admin->add_flag("--json", a->json, "print JSON");
  admin->require_subcommand(1);
  admin->footer("Example:\n  holdfast admin -c D/server.yaml save-state");
  add(*admin, "save-state", "Save now; returns when the state is durable in a slot.", "save-state",
      SaveState);
  add(*admin, "status", "What the server does and how it is.", "status", ShowStatus);
  AddGc(*admin, chosen, std::shared_ptr<const std::string>(a, &a->config));
  CLI::App* client = admin->add_subcommand("client", "Who may connect.");
  client->require_subcommand(1);
  client->footer("Example:\n  holdfast admin -c D/server.yaml client add alice --out alice");
  CLI::App* add_client =
      add(*client, "add", "Make a certificate for a new client.", "client add alice --out alice", AddClient);
  add_client->add_option("name", a->name, "1 to 64 printable characters")->required();
  add_client->add_option("--out", a->out, "directory to make: client.yaml, client.pem, ca.pem")->required();
  add_client->add_flag("--admin", a->administrator, "may use the admin port");
  CLI::App* revoke =
      add(*client, "revoke", "End a client's access, now.", "client revoke SERIAL", RevokeClient);
  revoke->add_option("serial", a->serial, "32 hex digits, from client list")->required();
  add(*client, "list", "Serial, kind, state, name.", "client list", ListClients);
}

}  // namespace holdfast::cli
