import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// `profile import` and `profile show`, and a plan on what they give.
@Suite struct ProfileTests {
  private static let log = "\(Shipped.root)/docs/examples/mpigraph.log"
  private static let cluster = "\(Shipped.root)/docs/examples/cluster.json"

  @Test func theExampleIsWhatTheImportOfItsLogGives() async throws {
    let folder = try Workspace()
    try FileManager.default.createSymbolicLink(
      atPath: folder.file("docs"), withDestinationPath: "\(Shipped.root)/docs")
    let run = try await folder.sextant(
      "profile", "import", "docs/examples/mpigraph.log", "--name", "example-4", "--output", "links.json")
    #expect(run.succeeded().contains("gpu-2: sends 40 % and receives 40 % below the median node"))
    #expect(
      try folder.text(of: "links.json")
        == String(contentsOfFile: "\(Shipped.root)/docs/examples/links.json", encoding: .utf8))
  }

  /// The slow node costs exactly what a plan of the same cluster with healed links does not.
  @Test func aSlowNodeIsPricedForAPlanThatUsesTheMeasurement() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", Self.cluster, "--model", "llama-2-7b", "--global-batch", "64", "--output", "plan.json"
    ).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(plan.cluster.measured?.name == "example-4")
    try await folder.sextant("profile", "import", Self.log, "--output", "links.json").succeeded()
    let text = try await folder.sextant("profile", "show", "links.json", "--plan", "plan.json", "--svg", "map.svg")
      .succeeded()
    #expect(text.contains("gpu-2 costs"))
    let svg = try folder.text(of: "map.svg")
    #expect(svg.hasPrefix("<svg xmlns=") && svg.hasSuffix("</svg>\n"))
    #expect(svg.components(separatedBy: "<title>").count == 13)
    let json = try JSON(
      parsing: Array(
        try await folder.sextant("profile", "show", "links.json", "--plan", "plan.json", "--json").succeeded().utf8))
    let priced = try #require(json.at("/plan"))
    guard case .number(let stated)? = priced.at("/stated_seconds"),
      case .number(let measured)? = priced.at("/iteration_seconds"),
      case .number(let healed)? = priced.at("/healed_seconds"), case .number(let cost)? = priced.at("/costs/0/seconds")
    else {
      Issue.record("numbers are missing in \(priced)")
      return
    }
    // The plan was made on the same links, and there is one slow thing.
    #expect(abs(stated / measured - 1) < 1e-9)
    #expect(cost > 0 && abs(measured - healed - cost) < 1e-9 * measured)
  }

  @Test func whatIsMissingOrInferredOrDisputedIsShown() async throws {
    let folder = try Workspace()
    let example = "\(Shipped.root)/Tests/DocumentsTests/Inputs/examples/links-full.json"
    let text = try await folder.sextant("profile", "show", example, "--svg", "map.svg").succeeded()
    #expect(text.contains("4 of 6 directed pairs"))
    #expect(text.contains("2 of them inferred") && text.contains("~9.00") && text.contains("~8.75"))
    #expect(text.contains("host-b → host-c: died in round 2"))
    #expect(text.contains("device_to_device_memcpy_read_ce (both directions)"))
    #expect(text.contains("all-reduce"))
    #expect(try folder.text(of: "map.svg").contains("host-c → host-b: not measured"))
  }

  @Test func sourcesThatDisagreeAreShownWithTheirFiles() async throws {
    let folder = try Workspace()
    for (name, rate) in [("one.txt", "20000.00"), ("two.txt", "15000.00")] {
      try folder.write("# OSU MPI Bandwidth Test v7.5\n# Size      Bandwidth (MB/s)\n4194304   \(rate)\n", to: name)
    }
    let text = try await folder.sextant("profile", "import", "one.txt", "two.txt", "--hosts", "a,b").succeeded()
    #expect(text.contains("a → b: 15.00 GB/s taken (idle, osu, two.txt), 20.00 GB/s by osu (idle, one.txt), +33 %"))
  }

  /// A plan whose stages recompute different numbers of layers is priced with them: on the links that it was made on it
  /// takes what it states.
  @Test func aPlanWhoseStagesChooseIsPricedWithItsChoices() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "a100-hdr-16", "--model", "opt-175b", "--global-batch", "512", "--framework",
      "any", "--margin", "0", "--output", "plan.json"
    ).succeeded()
    let plan = try Plan(contentsOf: folder.file("plan.json"))
    #expect(Set(try #require(plan.split.choices)).count > 1)
    let output = try await folder.sextant("profile", "show", "a100-hdr-16", "--plan", "plan.json", "--json")
      .succeeded()
    let priced = try #require(try JSON(parsing: Array(output.utf8)).at("/plan"))
    guard case .number(let stated)? = priced.at("/stated_seconds"),
      case .number(let measured)? = priced.at("/iteration_seconds")
    else {
      Issue.record("numbers are missing in \(priced)")
      return
    }
    #expect(stated == plan.prediction.iterationSeconds && abs(stated / measured - 1) < 1e-9)
  }

  @Test func linksOfOtherNodesCannotPriceAPlan() async throws {
    let folder = try Workspace()
    try await folder.sextant(
      "plan", "--cluster", "dgx-a100-1", "--model", "gpt2", "--global-batch", "16", "--output", "plan.json"
    ).succeeded()
    try await folder.sextant("profile", "show", "a100-hdr-16", "--plan", "plan.json")
      .failed(65, "a100-hdr-16: /nodes: expected links of the plan's 1 nodes")
  }

  @Test func whatIsNotRecognisedIsSaidInOneLine() async throws {
    let folder = try Workspace()
    try folder.write("what is this\n", to: "other.txt")
    try folder.write("{\"schema\": \"sextant.plan/1\"}", to: "plan.json")
    try folder.write("SwitchName=a Nodes=n[1-4]\n", to: "topology.conf")
    try folder.write("# OSU MPI Bandwidth Test v7.5\n1 oops\n", to: "osu.txt")
    try await folder.sextant("profile", "import", "other.txt").failed(
      65, "not recognised", "what is this", "mpiGraph", "docs/inputs.md")
    try await folder.sextant("profile", "import", "plan.json").failed(65, "a document of Sextant")
    try await folder.sextant("profile", "import", "missing.log").failed(65, "missing.log")
    try await folder.sextant("profile", "import", "osu.txt").failed(65, "osu.txt: line 2: expected")
    try await folder.sextant("profile", "import", "topology.conf", "--output", "links.json")
      .failed(65, "structure only")
    try await folder.sextant("profile", "import", "other.txt", "--format", "fast").failed(64, "--format")
    try await folder.sextant("profile", "import", "other.txt", "--hosts", "a,b,c").failed(64, "--hosts")
    try await folder.sextant("profile", "show", "nowhere").failed(65, "no links is called")
    #expect(try folder.names == ["osu.txt", "other.txt", "plan.json", "topology.conf"])
  }

  @Test func structureIsReported() async throws {
    let folder = try Workspace()
    try folder.write("SwitchName=r Switches=a,b\nSwitchName=a Nodes=n[1-4]\nSwitchName=b Nodes=n[5-8]\n", to: "t.conf")
    let text = try await folder.sextant("profile", "import", "t.conf").succeeded()
    #expect(text.contains("levels above the node span 4, 8 nodes"))
    let json = try await folder.sextant("profile", "import", "t.conf", "--json").succeeded()
    #expect(try JSON(parsing: Array(json.utf8)).at("/0/node_spans") == .array([.integer(4), .integer(8)]))
  }
}

extension JSON {
  /// The value at a pointer without escapes.
  fileprivate func at(_ pointer: String) -> JSON? {
    pointer.split(separator: "/").reduce(Optional(self)) { value, key in
      switch value {
      case .object(let members): members.first { $0.key == key }?.value
      case .array(let elements): Int(key).flatMap { elements.indices.contains($0) ? elements[$0] : nil }
      default: nil
      }
    }
  }
}
