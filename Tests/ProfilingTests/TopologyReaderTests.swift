import Documents
import Profiling
import Testing

/// Structure: what hangs on what, and no rate that is not stated.
@Suite struct TopologyReaderTests {
  private func node(_ text: String) throws -> NodeStructure {
    guard case .node(let node)? = try Excerpt.findings(text).structure else { throw Missing() }
    return node
  }

  private func network(_ text: String) throws -> NetworkStructure {
    guard case .network(let network)? = try Excerpt.findings(text).structure else { throw Missing() }
    return network
  }

  private struct Missing: Error {}

  @Test func nvidiaSMIsHeaderMayBeUnderlinedAndItsLegendNamesCards() throws {
    let node = try node(Excerpt.nvidiaTopology)
    #expect(node.devices == ["GPU0", "GPU1"])
    #expect(node.networkCards == ["mlx5_0", "mlx5_1"])
    #expect(node.deviceToDevice == [[nil, .nvlink(12)], [.nvlink(12), nil]])
    #expect(node.nearestCards(ofDevice: 0)?.cards == [0])
    #expect(node.nearestCards(ofDevice: 1)?.path == .pix)
    #expect(node.linkBytesPerSecond == nil)
  }

  @Test func oldDriversNameCardsInTheHeaderAndSpacesStandForTabs() throws {
    let text = Excerpt.nvidiaTopology.replacing("NIC0", with: "mlx5_0").replacing("NIC1", with: "mlx5_1")
      .replacing("\t", with: "    ")
    #expect(try node(text).networkCards == ["mlx5_0", "mlx5_1"])
  }

  @Test func classesAreInOrder() {
    let words = ["NV18", "NV4", "PIX", "PXB", "PHB", "NODE", "SYS"]
    let text = { (word: String) in "GPU0 GPU1 CPU Affinity\nGPU0 X \(word) 0\nGPU1 \(word) X 0\n" }
    let paths = words.compactMap { try? node(text($0)).deviceToDevice[0][1] }
    #expect(paths.map(\.word) == words)
    #expect(paths == paths.sorted())
    #expect(throws: DocumentError.self) { try node(text("FAST")) }
  }

  @Test func ncclXMLGivesNVLinksByGenerationAndNetworksBySpeed() throws {
    let node = try node(Excerpt.ncclTopology)
    #expect(node.devices == ["GPU0", "GPU1"])
    #expect(node.networkCards == ["mlx5_0"])
    #expect(node.deviceToDevice[0][1] == .nvlink(18))
    #expect(node.deviceToCard == [[.pix], [.sys]])
    #expect(node.islands.first?.bytesPerSecond == 450e9)
    #expect(node.sharedBytesPerSecond == 50e9)
  }

  @Test func xmlWithEntitiesOrTooDeepIsRefused() {
    let bomb = "<!DOCTYPE s [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;\">]>\n<system>&b;</system>"
    #expect(throws: DocumentError.self) { try Excerpt.findings(bomb) }
    let deep = "<system>" + String(repeating: "<pci>", count: 5_000)
    #expect(throws: DocumentError.self) { try Excerpt.findings(deep) }
  }

  @Test func aTreeOfSwitchesIsGroupsByLevel() throws {
    let tree = try network(Excerpt.slurmTree)
    #expect(tree.nodeNames == ["n01", "n02", "n03", "n04"])
    #expect(tree.levels.map { $0.map(\.nodes) } == [[[0, 1], [2, 3]], [[0, 1, 2, 3]]])
    #expect(tree.nodeSpans == [2, 4])
  }

  @Test func blocksJoinToLargerSizes() throws {
    let blocks = try network(Excerpt.slurmBlocks)
    #expect(blocks.shape == .block)
    #expect(blocks.nodeSpans == [2, 4])
  }

  @Test func theDefaultTopologyOfYAMLIsTaken() throws {
    let tree = try network(Excerpt.slurmYAML)
    #expect(tree.name == "big")
    #expect(tree.nodeSpans == [3, 6])
    #expect(try network(Excerpt.topograph).nodeSpans == [2, 4])
  }

  @Test func whatNothingJoinsIsSaidAndUnequalGroupsHaveNoSpans() throws {
    let halls = try network("SwitchName=a Nodes=n[1-2]\nSwitchName=b Nodes=n[3-5]\n")
    #expect(halls.partCount == 2)
    #expect(halls.nodeSpans == nil)
  }

  @Test func switchesThatContradictThemselvesAreRefused() {
    for text in [
      "SwitchName=a Switches=b\nSwitchName=b Switches=a\n", "SwitchName=a Nodes=n1\nSwitchName=b Nodes=n1\n",
      "SwitchName=a Switches=c\nSwitchName=b Switches=c\nSwitchName=c Nodes=n1\n", "SwitchName=a Nodes=n[2-1]\n",
      "SwitchName=r Nodes=n1\nSwitchName=a Switches=b\nSwitchName=b Switches=a\n",
    ] {
      #expect(throws: DocumentError.self, "\(text)") { try Excerpt.findings(text) }
    }
  }

  @Test func hostsOfInfiniBandSwitchesAreGroupsAndAggregationNodesAreNoHosts() throws {
    let network = try network(Excerpt.ibNetDiscover)
    #expect(network.nodeNames == ["ALPHA", "BETA", "GAMMA"])
    #expect(network.levels.map { $0.map(\.nodes) } == [[[0, 1], [2]], [[0, 1, 2]]])
    #expect(network.linkBytesPerSecond == 25e9)
  }

  /// As `scontrol show hostnames` of Slurm 22.05 expands them.
  @Test(arguments: [
    ("a[1-3]", ["a1", "a2", "a3"]), ("a[007-009,12]", ["a007", "a008", "a009", "a12"]),
    ("r[1-2]n[01-02]", ["r1n01", "r1n02", "r2n01", "r2n02"]), ("x,y[1-2]", ["x", "y1", "y2"]),
    ("a[9-11]", ["a9", "a10", "a11"]),
  ])
  func hostlistsAreExpanded(list: String, names: [String]) throws {
    #expect(try network("SwitchName=s Nodes=\(list)\n").nodeNames == names)
  }

  @Test func aHostlistOfMillionsIsRefused() {
    for list in ["a[1-999999999]", "a[1-1000]b[1-1000]", "a[1-", "a]1[", "a[]", ",", "a[1-2-3]"] {
      #expect(throws: DocumentError.self, "\(list)") { try network("SwitchName=s Nodes=\(list)\n") }
    }
  }
}
