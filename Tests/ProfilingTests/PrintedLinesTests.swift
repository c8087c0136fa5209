import Documents
import Profiling
import Testing

/// What launchers, collectors and people put around lines is taken away, and nothing else.
@Suite struct PrintedLinesTests {
  /// What must come out of `FieldLog.allReduce`, whatever stands around its lines.
  private func expectWhole(_ text: String, _ comment: String) throws {
    let found = try Excerpt.findings(text)
    let plain = try Excerpt.findings(FieldLog.allReduce)
    #expect(found.collectives == plain.collectives, "\(comment)")
    #expect(
      (found.collectives[0].rankCount == 4) && found.collectives[0].hosts == ["worker-0", "worker-1"], "\(comment)")
    #expect(found.collectives.map(\.points.count) == [4, 4], "\(comment)")
    #expect(found.notes.contains { $0.contains("left out") }, "\(comment)")
  }

  static let lines = FieldLog.allReduce.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)

  @Test(arguments: [
    "0: ", " 0: ", "[1,0]<stdout>:", "[1,0]<stderr>: ", "[prterun-node-1-4711@1,0]<stdout>: ", "[0] ", "[0]:",
    "[rank0]:",
    "[default0]:", "gpu-01: ", "[pod/nccl-launcher-x7k2p/launcher] ", "launcher-1  | ",
    "(worker pid=123, ip=10.0.0.1) ",
    "2026-01-31T10:11:12.123456789Z ", "2026-01-31T10:11:12.123456789Z stdout F ", "2026-01-31 10:11:12,123 ",
    "[2026-01-31 10:11:12] ", "Jan 31 10:11:12 gpu-01 srun[4711]: ", "2026-01-31T10:11:12+0100 gpu-01 srun[4711]: ",
    "Sat Jan 31 10:11:12 2026[1,0]<stdout>:", "10:11:12 ", "> ", ">> ", "> [0] ", "    ",
    "2026-01-31T10:11:12Z gpu-01: ", "gpu-01: 0: ",
  ])
  func aPrefixOfEveryLineIsLeftOut(prefix: String) throws {
    let text = Self.lines.map { prefix + $0 }.joined(separator: "\n")
    if prefix.allSatisfy({ $0 == " " }) {
      #expect(try Excerpt.findings(text).collectives == Excerpt.findings(FieldLog.allReduce).collectives)
    } else {
      try expectWhole(text, prefix)
      // The launcher's own lines have none.
      let around = ["$ mpirun -np 4 run.sh", "", text, "", "real 0m3.1s"].joined(separator: "\n")
      try expectWhole(around, "\(prefix) with lines around it")
    }
  }

  @Test func timesDifferFromLineToLine() throws {
    let text = Self.lines.enumerated().map { "2026-01-31T10:11:\(10 + $0).5Z \($1)" }.joined(separator: "\n")
    try expectWhole(text, "times")
  }

  @Test func coloursCarriageReturnsTabsAndFencesAreNoData() throws {
    let plain = try Excerpt.findings(FieldLog.allReduce).collectives
    let coloured = Self.lines.map { "\u{1B}[32m\($0)\u{1B}[0m" }.joined(separator: "\r\n")
    #expect(try Excerpt.findings(coloured).collectives == plain)
    let tabs = FieldLog.allReduce.replacing(#/ {2,}/#, with: "\t")
    #expect(try Excerpt.findings(tabs).collectives == plain)
    #expect(
      try Excerpt.findings("It prints\n\n```text\n\(FieldLog.allReduce)\n```\nIs that slow?").collectives == plain)
  }

  @Test func signsOfRemarksMayBeMissing() throws {
    let text = FieldLog.allReduce.split(separator: "\n").map { $0.hasPrefix("#") ? String($0.dropFirst()) : String($0) }
    #expect(
      try Excerpt.findings(text.joined(separator: "\n")).collectives == Excerpt.findings(FieldLog.allReduce).collectives
    )
  }

  @Test func halvesOfARowThatWereTaggedEachBelongTogether() throws {
    let text = Self.lines.map {
      "[0] " + $0.replacing("-1    ", with: "-1[0]    ").replacing("      0  ", with: "      0[0]  ")
    }
    try expectWhole(text.joined(separator: "\n"), "tags in the middle")
  }

  @Test(arguments: [80, 100, 60, 97])
  func linesThatATerminalWrappedAreRead(width: Int) throws {
    var wrapped: [String] = []
    for line in Self.lines {
      var rest = line[...]
      while rest.count > width {
        wrapped.append(String(rest.prefix(width)))
        rest = rest.dropFirst(width)
      }
      wrapped.append(String(rest))
    }
    let found = try Excerpt.findings(wrapped.joined(separator: "\n"), ImportContext(ranks: 4))
    let plain = try Excerpt.findings(FieldLog.allReduce)
    #expect(found.collectives.map(\.points) == plain.collectives.map(\.points))
  }

  @Test func rowsWhoseLineEndWasLostAndMessagesBetweenRowsAreRead() throws {
    let plain = try Excerpt.findings(FieldLog.allReduce).collectives
    let joined = FieldLog.allReduce.replacing("0\n     2097152", with: "0     2097152")
    #expect(joined != FieldLog.allReduce)
    #expect(try Excerpt.findings(joined).collectives == plain)
    let mixed = FieldLog.allReduce.replacing(
      "\n     4194304",
      with: "\nworker-0:1:2 [0] NCCL INFO comm 0x1 rank 0\n12 warnings were left out of it\n     4194304")
    #expect(try Excerpt.findings(mixed).collectives == plain)
  }

  @Test func linesOfSeveralSourcesAreToldApartAndTwoThatPrintTheSameCountOnce() throws {
    // Every second line is of another rank, which has something else to say.
    let mixed = Self.lines.enumerated().map { "0: \($1)\n1: message \($0) of rank 1\n1: another" }.joined(
      separator: "\n")
    try expectWhole(mixed, "two ranks")
    let twice = Self.lines.map { "[1,0]<stdout>:\($0)\n[1,1]<stdout>:\($0)" }.joined(separator: "\n")
    try expectWhole(twice, "the same twice")
  }

  @Test func prefixesBeforeOtherToolsOutputAreLeftOut() throws {
    for (name, text) in Excerpt.all {
      let file = name == "oldAllToAll" ? "alltoall.log" : "tool.log"
      let context = ImportContext(ranks: name == "osuAllGather" ? 8 : nil)
      let plain = try Excerpt.findings(text, source: file, context)
      for prefix in ["[1,0]<stdout>:", "2026-01-31T10:11:12Z ", "gpu-01: ", "> "] {
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { prefix + $0 }
        // What a tool could print counts as a prefix only where it repeats.
        if lines.count == 1, prefix == "gpu-01: " || prefix == "> " { continue }
        let found = try Excerpt.findings(lines.joined(separator: "\n"), source: file, context)
        #expect(found.pairs == plain.pairs && found.inside == plain.inside, "\(name) behind \(prefix)")
        #expect(
          found.collectives == plain.collectives && found.structure == plain.structure, "\(name) behind \(prefix)")
      }
    }
  }

  @Test func whatAToolPrintsFirstIsNoPrefix() throws {
    // Ports, rows of matrices, legends and devices stand where prefixes do.
    for (name, text) in Excerpt.all + FieldLog.all.prefix(5) {
      guard let found = try? Excerpt.findings(text, source: "alltoall.log", ImportContext(ranks: 8)) else { continue }
      #expect(!found.notes.contains { $0.contains("begin like") }, "\(name): \(found.notes)")
    }
    let legend = (0..<8).map { "NIC\($0): mlx5_\($0)" }.joined(separator: "\n")
    let topology = "GPU0 GPU1 NIC0 CPU Affinity\nGPU0 X NV12 PIX 0\nGPU1 NV12 X SYS 0\nNIC0 PIX SYS X\n" + legend
    guard case .node(let node)? = try Excerpt.findings(topology).structure else {
      Issue.record("no node")
      return
    }
    #expect(node.networkCards == ["mlx5_0"])
  }

  @Test func aPrefixThatIsNotKnownIsNamed() {
    let text = Self.lines.map { "##job4711## | \($0)".replacing("algbw", with: "x").replacing("nThread", with: "x") }
    #expect { try Excerpt.findings(text.joined(separator: "\n")) } throws: {
      "\($0)".contains("share a prefix that is not known") && "\($0)".contains("job4711")
    }
  }

  @Test func complaintsNameTheLineOfTheFile() {
    let text = "```\n" + FieldLog.allReduce.replacing("330.2", with: "999.9") + "\n```\n"
    #expect { try Excerpt.findings(text) } throws: { "\($0)".contains("line 16") }
  }
}
