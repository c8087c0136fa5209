import Documents
import Foundation
import JSONText
import TestSupport
import Testing

@Suite struct ExportTests {
  /// A plan of eight ranks on one node, made once.
  private static let plan = Task {
    try await Workspace().sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--fix",
      "tensor=2,pipeline=2,virtual_stages=1,zero_stage=1", "--json"
    ).succeeded()
  }

  private static func workspace() async throws -> Workspace {
    let folder = try Workspace()
    try folder.write(try await plan.value, to: "plan.json")
    return folder
  }

  @Test(arguments: ["torchrun", "slurm", "mpirun", "ssh", "kubernetes"])
  func everyLauncherHasItsFolder(launcher: String) async throws {
    let folder = try await Self.workspace()
    let name = "a b'c\n\"$d"
    let json = try await folder.sextant(
      "export", "plan.json", "--for", "megatron-lm", "--launcher", launcher, "--output", name, "--json"
    ).succeeded()
    let document = try JSON(parsing: Array(json.utf8))
    #expect(
      Self.member("target", of: document) == .string("megatron-lm")
        && Self.member("launcher", of: document) == .string(launcher))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.file(name)).filter {
      $0 != ".sextant-export"
    }
    #expect(Self.member("files", of: document) == .strings(names.sorted()))
    #expect(try await folder.text(of: "\(name)/plan.json") == Self.plan.value)
    #expect(try folder.names == [name, "plan.json"].sorted())
    for script in names where script.hasSuffix(".sh") {
      try await folder.shell("bash -n \"$(ls -d a*)\"/\(script)").succeeded()
    }
  }

  private static func member(_ key: String, of json: JSON) -> JSON? {
    guard case .object(let members) = json else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// What the folder's README says first is what the command says.
  @Test func theCommandSaysWhatToDo() async throws {
    let folder = try await Self.workspace()
    let text = try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "launch").succeeded()
    #expect(text.contains("files for megatron-lm, started by torchrun.\n"))
    #expect(text.contains("Fill in settings.sh"))
    #expect(text.contains("`./torchrun.sh`"))
  }

  @Test func anotherExportKeepsWhatIsTheUsers() async throws {
    let folder = try await Self.workspace()
    let request = ["export", "plan.json", "--for", "megatron-lm", "--output", "launch"]
    try await folder.sextant(request).succeeded()
    let settings = try folder.text(of: "launch/settings.sh").replacing("=''", with: "='mine'")
    try folder.write(settings, to: "launch/settings.sh")
    try folder.write("log", to: "launch/slurm-1.out")
    try folder.write("edited", to: "launch/rank.sh")
    try await folder.sextant(request + ["--launcher", "torchrun"]).succeeded()
    #expect(try folder.text(of: "launch/settings.sh") == settings)
    #expect(try folder.text(of: "launch/slurm-1.out") == "log")
    #expect(try folder.text(of: "launch/rank.sh") != "edited")
    // A launcher that asks for more gets a new file, and the old one is kept.
    try await folder.sextant(request + ["--launcher", "mpirun"]).succeeded()
    #expect(try folder.text(of: "launch/settings.old.sh") == settings)
    #expect(!FileManager.default.fileExists(atPath: folder.file("launch/torchrun.sh")))
  }

  @Test func aFolderOfOthersIsNotWrittenInto() async throws {
    let folder = try await Self.workspace()
    try FileManager.default.createDirectory(atPath: folder.file("taken"), withIntermediateDirectories: true)
    let request = ["export", "plan.json", "--for", "megatron-lm", "--output", "taken"]
    try await folder.sextant(request).succeeded()
    try FileManager.default.removeItem(atPath: folder.file("taken"))
    try FileManager.default.createDirectory(atPath: folder.file("taken"), withIntermediateDirectories: true)
    try folder.write("mine", to: "taken/notes")
    try await folder.sextant(request).failed(1, "cannot write taken: the folder holds files, and no export wrote it")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.file("taken")) == ["notes"])
    try await folder.sextant(request + ["--force"]).succeeded()
    #expect(try folder.text(of: "taken/notes") == "mine")
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "no/such/folder")
      .failed(1, "cannot write no/such/folder: No such file or directory")
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "plan.json")
      .failed(1, "cannot write plan.json: is not a folder")
  }

  @Test func whatAFrameworkCannotExpressEndsWithTheNearest() async throws {
    let folder = try await Self.workspace()
    try await folder.sextant("export", "plan.json", "--for", "megatron-fsdp", "--output", "launch")
      .failed(2, "plan.json: megatron-fsdp (", "has no pipeline parallelism; nearest: pipeline=1")
    #expect(try folder.names == ["plan.json"])
  }

  @Test func wrongArgumentsAreALine() async throws {
    let folder = try await Self.workspace()
    try await folder.sextant("export", "plan.json", "--for", "megatron", "--output", "launch")
      .failed(64, "--for: expected one of megatron-lm, ", "found \"megatron\"")
    try await folder.sextant("export", "plan.json", "--output", "launch", "--launcher", "pbs").failed(64, "'pbs'")
    try await folder.sextant("export", "none.json", "--output", "launch").failed(65, "none.json")
  }

  @Test func anotherMajorVersionIsRefused() async throws {
    let folder = try await Self.workspace()
    let plan = try JSON(parsing: Array(try await Self.plan.value.utf8))
    try folder.write(plan.replacing("/schema", with: .string("sextant.plan/9")), to: "plan.json")
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--output", "launch")
      .failed(65, "plan.json: /schema: expected \"sextant.plan/", "found \"sextant.plan/9\"")
    #expect(try folder.names == ["plan.json"])
  }

  @Test func hostsOfAnotherClusterAreRefusedWithTheDifference() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "a100-hdr-16", "--model", "gpt2", "--global-batch", "128", "--nodes", "2", "--output",
      "plan.json", "--fix", "zero_stage=1"
    ).succeeded()
    let nodes = try Plan(contentsOf: folder.file("plan.json")).usedNodeNames
    try folder.write("\(nodes[0]).cluster\nother\n", to: "hosts")
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--hosts", "hosts", "--output", "launch")
      .failed(65, "hosts: expected the 2 nodes of the plan", "\(nodes[1]) missing, other not in the cluster")
    try folder.write("\(nodes[1]) slots=3\n\(nodes[0])\n", to: "hosts")
    try await folder.sextant("export", "plan.json", "--for", "megatron-lm", "--hosts", "hosts", "--output", "launch")
      .failed(65, "hosts: expected slots=", "found slots=3 on \(nodes[1])")
    try await folder.sextant(
      "export", "plan.json", "--for", "megatron-lm", "--hosts", nodes.reversed().joined(separator: ","), "--output",
      "launch"
    ).succeeded()
    #expect(
      try folder.text(of: "launch/hosts").split(separator: "\n").compactMap { $0.split(separator: " ").first }
        .map(String.init) == nodes)
  }
}

extension Plan {
  fileprivate var usedNodeNames: [String] { arrangement.nodeOrder.map { cluster.nodeNames[$0] } }
}
