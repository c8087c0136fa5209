import Documents
import JSONText
import Testing

@Suite struct ShippedInputsTests {
  static let catalog = Catalog(root: Checkout.root)
  static let clusters = Checkout.names(in: "Clusters")
  static let devices = Checkout.names(in: "Profiles")
  static let models = Checkout.names(in: "Profiles/models")
  static let links = Checkout.names(in: "Profiles/links")

  @Test func everyKindOfInputIsShipped() {
    #expect(Self.clusters.contains("dgx-a100-16"))
    #expect(Self.devices.contains("h100-sxm5-80gb"))
    #expect(Self.models.contains("llama-3-70b"))
    #expect(Self.links.contains("a100-hdr-16"))
  }

  @Test(arguments: clusters)
  func aShippedClusterIsReadUnderItsFileName(name: String) throws {
    let cluster = try Self.catalog.cluster(name)
    #expect(cluster.name == name)
    #expect(!cluster.source.isEmpty)
    // The last part of the name is the number of nodes.
    #expect(name.hasSuffix("-\(cluster.nodeCount)"))
    #expect(cluster.levels.last?.span == cluster.deviceCount)
  }

  @Test(arguments: clusters)
  func aShippedClusterIsTheSameAfterARoundTripThroughText(name: String) throws {
    let cluster = try Self.catalog.cluster(name)
    let again = try ClusterDescription(reread(cluster.json), catalog: Catalog(root: nil), folder: ".")
    #expect(again == cluster)
  }

  @Test(arguments: devices)
  func aShippedDeviceIsReadUnderItsFileName(name: String) throws {
    let device = try Self.catalog.device(name)
    #expect(device.name == name)
    #expect(!device.datasheet.sources.isEmpty)
    #expect(device.frameworks.first?.name == "megatron-lm")
    #expect(Set(device.frameworks.map(\.name)).count == device.frameworks.count, "no framework is described twice")
    #expect(Set(["compute", "memory", "fabric", "frameworks"]).isSubset(of: device.provenance.map(\.group)))
  }

  @Test(arguments: devices)
  func aShippedDeviceIsTheSameAfterARoundTripThroughText(name: String) throws {
    let device = try Self.catalog.device(name)
    #expect(try DeviceProfile(reread(device.json)) == device)
  }

  @Test(arguments: models)
  func aShippedModelIsReadUnderItsFileName(name: String) throws {
    #expect(try Self.catalog.model(name).name == name)
  }

  @Test(arguments: models)
  func aShippedModelIsTheSameAfterARoundTripThroughText(name: String) throws {
    let model = try Self.catalog.model(name)
    #expect(try ModelDescription(reread(model.json)) == model)
  }

  @Test(arguments: links)
  func shippedLinksAreReadUnderTheirFileNameAndSurviveARoundTrip(name: String) throws {
    let links = try MeasuredLinks(contentsOf: "\(Checkout.root)/Profiles/links/\(name).json")
    #expect(links.name == name)
    #expect(!links.source.isEmpty)
    #expect(try MeasuredLinks(reread(links.json)) == links)
  }

  /// The published means of the two receive tables: 18,763 and 18,443 MB/s.
  @Test func theMeasuredLinksHaveThePublishedMeansAndDirection() throws {
    let links = try MeasuredLinks(contentsOf: "\(Checkout.root)/Profiles/links/a100-hdr-16.json")
    #expect(links.snapshots.map(\.name) == ["time_0", "time_1"])
    for (snapshot, mean) in zip(links.snapshots, [18_763e6, 18_443e6]) {
      let rates = snapshot.bytesPerSecond.flatMap { $0.compactMap { $0 } }
      #expect(rates.count == 16 * 15)
      #expect(abs(rates.reduce(0, +) / 240 - mean) < 1e6, "\(snapshot.name)")
      #expect((0..<16).allSatisfy { snapshot.bytesPerSecond[$0][$0] == nil })
    }
    // mpiGraph: "agpu1475 from … agpu1478" received 19635.3585 MB/s, so that is the rate from 1478 to 1475.
    #expect(Array(links.nodeNames.prefix(2)) == ["agpu1475", "agpu1478"])
    #expect(links.snapshots[0].bytesPerSecond[1][0] == 19_635_358_500)
    #expect(try Self.catalog.cluster("a100-hdr-16").measured == links)
  }

  @Test func anExampleJobIsTheSameAfterARoundTripThroughText() throws {
    for name in Checkout.names(in: "Tests/DocumentsTests/Inputs/examples") where name.hasPrefix("job") {
      let job = try TrainingJob(contentsOf: "\(Checkout.inputs)/examples/\(name).json", catalog: Self.catalog)
      #expect(try TrainingJob(reread(job.json), catalog: Catalog(root: nil), folder: ".") == job, "\(name)")
    }
  }

  @Test func aPlanIsTheSameAfterARoundTripThroughText() throws {
    let plan = try examplePlan()
    #expect(try Plan(reread(plan.json)) == plan)
  }

  /// The value after being written as text and parsed.
  private func reread(_ json: JSON) throws -> Field {
    Field(try JSON(parsing: Array(json.text(style: .pretty).utf8)), source: "round trip")
  }
}
