import Documents
import JSONText
import Profiling
import TestSupport
import Testing

/// Several files in one document: whom to trust, what to do with the others, and what is slow.
@Suite struct ImportedLinksTests {
  private let hosts = ImportContext(hosts: ["alpha", "beta"])

  @Test func aCollectiveOfThePairIsTrustedBeforeLoadedAndLoadedBeforeIdle() throws {
    let idle = try Excerpt.findings(Excerpt.osuBandwidth, source: "osu.txt", hosts)
    let loaded = try Excerpt.findings(Excerpt.mpiGraph, source: "mpigraph.log")
    let collective = try Excerpt.findings(Excerpt.ncclJSON, source: "nccl.json")
    for files in [[idle, loaded, collective], [collective, loaded, idle], [loaded, idle]] {
      let imported = try ImportedLinks(files, name: "all", nodeNames: ["alpha", "beta"])
      let links = try #require(imported.links)
      let snapshot = try #require(links.snapshots.first)
      let origin = try #require(snapshot.originIndex?[0][1])
      let best = files.count == 3 ? 5e9 : 1_100 * 1_048_576.0
      #expect(abs((snapshot.bytesPerSecond[0][1] ?? 0) / best - 1) < 1e-9)
      #expect(links.origins[origin].trust == (files.count == 3 ? .collective : .loaded))
      // Both directions of the loaded rates and the one of the idle, or the idle one alone.
      #expect(snapshot.superseded.count == (files.count == 3 ? 3 : 1))
      #expect(imported.disagreements.first?.otherBytesPerSecond == 20_000.25e6)
      #expect(try MeasuredLinks(Field(links.json, source: "again")) == links)
    }
  }

  @Test func trustIsOrderedAsDocumented() {
    #expect(
      MeasuredLinks.Trust.allCases.sorted(by: >) == [.collective, .loaded, .idle, .inferred, .linkClass, .nominal])
  }

  @Test func ofEqualTrustTheMedianFileCounts() throws {
    let files = try ["100.00", "300.00", "200.00"].map { rate in
      try Excerpt.findings(Excerpt.osuBandwidth.replacing("20000.25", with: rate), source: "\(rate).txt", hosts)
    }
    let links = try #require(try ImportedLinks(files, name: "three").links)
    #expect(links.snapshots[0].bytesPerSecond[0][1] == 200e6)
    #expect(links.snapshots[0].superseded.map(\.bytesPerSecond) == [100e6, 300e6])
  }

  @Test func latencyOfOneFileJoinsTheRateOfAnother() throws {
    let files = [
      try Excerpt.findings(Excerpt.osuBandwidth, source: "bw.txt", hosts),
      try Excerpt.findings(Excerpt.osuLatency, source: "lat.txt", hosts),
    ]
    let snapshot = try #require(try ImportedLinks(files, name: "both").links?.snapshots.first)
    #expect(snapshot.bytesPerSecond[0][1] == 20_000.25e6)
    #expect(snapshot.latencySeconds == [[nil, 4e-6], [4e-6, nil]])
  }

  @Test func structureAloneIsNoDocument() throws {
    #expect(try ImportedLinks([Excerpt.findings(Excerpt.slurmTree)], name: "tree").links == nil)
  }

  // MARK: Health

  /// Eight nodes at 10 GB/s with differences of a few per cent.
  private func links(_ change: (Int, Int) -> Double) -> MeasuredLinks {
    let names = (0..<8).map { "gpu-\($0)" }
    let rates = (0..<8).map { from in
      (0..<8).map { to -> Double? in
        let percent = Double((3 * from + 5 * to) % 5 - 2)
        return from == to ? nil : 10e9 * (1 + 0.01 * percent) * change(from, to)
      }
    }
    return MeasuredLinks(
      name: "test", engine: "none", source: "", nodeNames: names, snapshots: [.init(name: "one", bytesPerSecond: rates)]
    )
  }

  @Test func nothingIsSlowWhereAllDifferALittle() {
    let health = LinkHealth(links { _, _ in 1 })
    #expect(health.slowNodes.isEmpty && health.slowLinks.isEmpty)
  }

  @Test func aSlowLinkIsNamedAndItsNodesAreNot() throws {
    let health = LinkHealth(links { $0 == 7 && $1 == 2 ? 0.59 : 1 })
    #expect(health.slowNodes.isEmpty)
    #expect(health.slowLinks.map { [$0.from, $0.to] } == [[7, 2]])
    #expect(abs(try #require(health.slowLinks.first).loss - 0.41) < 0.03)
    #expect(abs((health.ratesHealing(health.slowLinks[0])[7][2] ?? 0) / 10e9 - 1) < 0.05)
  }

  @Test func aSlowNodeIsNamedOnceAndItsLinksAreNot() throws {
    let health = LinkHealth(links { $0 == 3 || $1 == 3 ? 0.5 : 1 })
    #expect(health.slowNodes.map(\.index) == [3])
    #expect(health.slowLinks.isEmpty)
    let node = try #require(health.slowNodes.first)
    #expect(abs(node.sendingLoss - 0.5) < 0.02 && abs(node.receivingLoss - 0.5) < 0.02)
    let healed = health.ratesHealing(node: 3)
    #expect(abs((healed[3][0] ?? 0) / 10e9 - 1) < 0.05 && abs((healed[0][3] ?? 0) / 10e9 - 1) < 0.05)
    #expect(healed[0][1] == links { _, _ in 1 }.medianBytesPerSecond(from: 0, to: 1))
  }

  @Test func onlyTheSlowDirectionOfANodeIsBlamed() throws {
    let node = try #require(LinkHealth(links { from, _ in from == 3 ? 0.7 : 1 }).slowNodes.first)
    #expect(node.index == 3 && node.sendingLoss > 0.25 && abs(node.receivingLoss) < 0.05)
  }

  @Test func aSlowRackIsNoOutlier() {
    // Half of all pairs are between racks.
    let health = LinkHealth(links { $0 / 4 == $1 / 4 ? 1 : 0.6 })
    #expect(health.slowNodes.isEmpty && health.slowLinks.isEmpty)
  }
}
