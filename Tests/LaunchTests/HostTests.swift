import Documents
import TestSupport
import Testing

@testable import Launch

/// Host lists, and whether they are of a plan's nodes.
@Suite struct HostTests {
  private static func list(_ text: String) throws -> HostList { try HostList(text: text, source: "hosts.txt") }

  @Test(arguments: [
    ("node01", "NODE01", true), ("node01", "node01.cluster", true), ("node01.a.b", "node01", true),
    ("node01.a", "node01.b", false), ("node1", "node10", false), ("10.0.0.1", "10.0.0.2", false),
  ])
  func shortAndQualifiedNamesMeanOneHost(left: String, right: String, areSame: Bool) {
    #expect(HostName.areSame(left, right) == areSame)
  }

  @Test func hostFilesOfSeveralToolsAreRead() throws {
    let entries = try Self.list("# ours\na slots=8 # the first\nb:4\n\ngpu[08-10] slots=2 max_slots=3\nfe80::1\n")
      .entries
    #expect(entries.map(\.name) == ["a", "b", "gpu08", "gpu09", "gpu10", "fe80::1"])
    #expect(entries.map(\.slotCount) == [8, 4, 2, 2, 2, nil])
    #expect(try HostList("gpu[1-2],login").entries.map(\.name) == ["gpu1", "gpu2", "login"])
  }

  @Test(arguments: [
    ("", "hosts.txt: expected hosts, a line each"), ("a\na slots=2", "hosts.txt: line 2: expected every host once"),
    ("a slots=0", "hosts.txt: line 1: expected slots= and a number after the host, found \"slots=0\""),
    ("a\n-oProxyCommand=x", "hosts.txt: line 2: expected the name of a host, found \"-oProxyCommand=x\""),
    ("$(id)", "hosts.txt: line 1: expected the name of a host"), ("gpu[1-", "hosts.txt: line 1: expected a host, or"),
    ("a b", "hosts.txt: line 1: expected slots= and a number after the host, found \"b\""),
  ])
  func whatIsNoHostFileIsRefusedWithTheLine(text: String, complaint: String) {
    let error = #expect(throws: DocumentError.self) { try Self.list(text) }
    #expect("\(error.map { "\($0)" } ?? "")".hasPrefix(complaint), "\(error as Any)")
  }

  @Test func aFileThatIsNotThereIsNamed() {
    let error = #expect(throws: DocumentError.self) { try HostList("no/such/file") }
    #expect(error?.description == "no/such/file: No such file or directory")
  }

  @Test func theListsNamesAreUsedInThePlansOrder() throws {
    let plan = try LaunchFolders.namedPlan()
    #expect(try HostAssignment(plan, list: nil).hosts == ["node66", "node7"])
    #expect(
      try HostAssignment(plan, list: Self.list("node7.cluster slots=2\nnode66.cluster")).hosts
        == ["node66.cluster", "node7.cluster"])
  }

  @Test func theRestOfTheClusterMayBeInTheList() throws {
    let cluster = try LaunchFolders.cluster(["a", "b", "c"])
    let plan = try LaunchFolders.plan(cluster, nodeOrder: [2, 0])
    #expect(try HostAssignment(plan, list: Self.list("a\nb\nc")).hosts == ["c", "a"])
    #expect(try HostAssignment(plan, list: Self.list("a\nc")).hosts == ["c", "a"])
  }

  @Test(arguments: [
    (
      "node7\nnode67",
      "hosts.txt: expected the 2 nodes of the plan (cluster small), found 2 hosts: node66 missing, node67 not in the cluster"
    ),
    ("node7", "hosts.txt: expected the 2 nodes of the plan (cluster small), found 1 hosts: node66 missing"),
    (
      "node7\nnode66\nnode8",
      "hosts.txt: expected the 2 nodes of the plan (cluster small), found 3 hosts: node8 not in the cluster"
    ),
    (
      "node7 slots=8\nnode66",
      "hosts.txt: expected slots=2, a rank for every device that the plan's nodes have, found slots=8 on node7"
    ),
  ])
  func hostsOfAnotherClusterAreRefusedWithTheDifference(text: String, complaint: String) throws {
    let plan = try LaunchFolders.namedPlan()
    let error = #expect(throws: DocumentError.self) { try HostAssignment(plan, list: Self.list(text)) }
    #expect(error?.description == complaint)
  }

  @Test func countedNodesTakeTheListsOrder() throws {
    let plan = try LaunchFolders.countedPlan()
    #expect(try HostAssignment(plan, list: nil).hosts == nil)
    #expect(try HostAssignment(plan, list: Self.list("b\na")).hosts == ["b", "a"])
    let error = #expect(throws: DocumentError.self) { try HostAssignment(plan, list: Self.list("b\na\nc")) }
    #expect(error?.description == "hosts.txt: expected 2 hosts, one for each node of the plan, found 3")
  }

  @Test func whereCountedNodesDifferTheirHostsMustBeNamed() throws {
    let names = ["node-0", "node-1"]
    let small = try LaunchFolders.cluster(names, namesHosts: false)
    let mixed = try ClusterDescription(
      name: "mixed", devices: [Shipped.catalog.device("a100-sxm4-80gb"), Shipped.catalog.device("h100-sxm5-80gb")],
      deviceOfNode: [0, 1], nodeNames: names, namesHosts: false, devicesPerNode: 2, levels: small.levels)
    let plan = try LaunchFolders.plan(mixed, nodeOrder: [1, 0])
    let error = #expect(throws: DocumentError.self) { try HostAssignment(plan, list: nil) }
    #expect(
      error?.description
        == "--hosts: expected the hosts of node-0 to node-1, in this order: the nodes differ in their devices")
    #expect(try HostAssignment(plan, list: Self.list("a\nh")).hosts == ["h", "a"])
  }

  /// Names that happen to count are names of hosts where the document lists them.
  @Test func aDocumentThatListsNodesNamesHosts() throws {
    let cluster = try LaunchFolders.cluster(["node-0", "node-1"])
    #expect(cluster.namesHosts)
    #expect(
      try ClusterDescription(Field(cluster.json, source: "c"), catalog: Catalog(root: nil), folder: ".") == cluster)
  }

  @Test func aNodeThatIsNoHostIsRefused() throws {
    let plan = try LaunchFolders.plan(LaunchFolders.cluster(["rack 1", "b"]))
    let error = #expect(throws: DocumentError.self) { try HostAssignment(plan, list: nil) }
    #expect(error?.description == "plan: /cluster/nodes/0: expected the name of a host, found \"rack 1\"")
  }
}
