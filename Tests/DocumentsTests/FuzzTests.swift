import Documents
import Foundation
import JSONText
import TestSupport
import Testing

/// Documents that nobody would write: each is read, or refused in one short line that says where.
@Suite struct FuzzTests {
  /// A way to read a document, and valid documents to start from.
  struct Reader: Sendable, CustomTestStringConvertible {
    let name: String
    let documents: [JSON]
    /// Whether a document names others that are then read.
    var readsOthers = false
    let read: @Sendable (Field) throws(DocumentError) -> Void

    var testDescription: String { name }
  }

  static let readers: [Reader] = [
    // The names in a cluster or a job are looked up once; what is mutated is self-contained.
    Reader(name: "cluster", documents: clusters(), readsOthers: true) { (field) throws(DocumentError) in
      _ = try ClusterDescription(field, catalog: Shipped.catalog, folder: ".")
    },
    Reader(name: "links", documents: documents(["Profiles/links", examples("links"), examples("links-full")])) {
      (field) throws(DocumentError) in _ = try MeasuredLinks(field)
    },
    Reader(name: "device", documents: documents(["Profiles"])) { (field) throws(DocumentError) in
      _ = try DeviceProfile(field)
    },
    Reader(name: "model", documents: documents(["Profiles/models", inputs("hf-config"), examples("model")])) {
      (field) throws(DocumentError) in _ = try ModelDescription(field)
    },
    Reader(
      name: "job", documents: documents([examples("job"), examples("job-huggingface"), examples("job-of-names")]),
      readsOthers: true
    ) {
      (field) throws(DocumentError) in _ = try TrainingJob(field, catalog: Shipped.catalog, folder: ".")
    },
    Reader(name: "plan", documents: [(try? examplePlan().json) ?? .null]) { (field) throws(DocumentError) in
      let plan = try Plan(field)
      // What follows from a plan must not trap either.
      _ = (plan.split.layerRanges, plan.microBatchCount, plan.prediction.tightestStageIndex, plan.certificate.gap)
    },
    Reader(name: "configuration", documents: documents([examples("configuration")])) { (field) throws(DocumentError) in
      _ = try RunConfiguration(field)
    },
    Reader(name: "run", documents: runs(), readsOthers: true) { (field) throws(DocumentError) in
      let run = try MeasuredRun(field)
      _ = try run.job.get()
      _ = try run.strategy.get()
      _ = try run.cluster(catalog: Shipped.catalog)
    },
  ]

  @Test func everyReaderAcceptsWhatItsMutationsStartFrom() throws {
    for reader in Self.readers {
      #expect(!reader.documents.contains(.null), "\(reader.name)")
      let accepted = reader.documents.filter { (try? reader.read(Field($0, source: "document"))) != nil }
      #expect(!accepted.isEmpty, "\(reader.name)")
    }
  }

  @Test(arguments: readers, FuzzRun.seeds(1, 2))
  func aDocumentOfOtherStructureIsReadOrRefusedInOneLine(reader: Reader, seed: UInt64) {
    var mutator = DocumentMutator(seed: seed)
    for index in 0..<1_000 {
      let document = mutator.mutated(reader.documents[index % reader.documents.count])
      check(reader, "seed \(seed), document \(index)") { () throws(DocumentError) in
        try reader.read(Field(document, source: "document"))
      }
    }
  }

  @Test(arguments: readers, FuzzRun.seeds(3, 4))
  func aDocumentOfOtherNumbersIsReadOrRefusedInOneLine(reader: Reader, seed: UInt64) {
    var mutator = DocumentMutator(seed: seed)
    var acceptedCount = 0
    for index in 0..<500 {
      let document = mutator.withOtherNumbers(reader.documents[index % reader.documents.count])
      let isAccepted = check(reader, "seed \(seed), document \(index)") { () throws(DocumentError) in
        try reader.read(Field(document, source: "document"))
      }
      if isAccepted { acceptedCount += 1 }
    }
    #expect(acceptedCount < 500)
  }

  @Test(arguments: readers, FuzzRun.seeds(5, 6))
  func aDocumentOfOtherTextIsReadOrRefusedInOneLine(reader: Reader, seed: UInt64) {
    var mutator = DocumentMutator(seed: seed)
    let texts = reader.documents.map { Array($0.text(style: .pretty).utf8) }
    for index in 0..<500 {
      let text = mutator.mutated(text: texts[index % texts.count])
      check(reader, "seed \(seed), text \(index)") { () throws(DocumentError) in
        try reader.read(parse(text, source: "document"))
      }
    }
  }

  @Test(arguments: readers, FuzzRun.seeds(7))
  func anyJSONAtAllIsReadOrRefusedInOneLine(reader: Reader, seed: UInt64) {
    var mutator = DocumentMutator(seed: seed)
    for index in 0..<500 {
      let document = mutator.randomValue()
      check(reader, "seed \(seed), document \(index)") { () throws(DocumentError) in
        try reader.read(Field(document, source: "document"))
      }
    }
  }

  @Test(arguments: FuzzRun.seeds(8, 9))
  func strategiesOnTheCommandLineAreReadOrRefusedInOneLine(seed: UInt64) {
    var mutator = DocumentMutator(seed: seed)
    let text = Array("tensor=8,pipeline=4,micro_batch=2,recompute=full,sequence_parallel=true,zero_stage=1".utf8)
    for index in 0..<1_500 {
      let mutated = String(decoding: mutator.mutated(text: text), as: UTF8.self)
      check(nil, "seed \(seed), text \(index)") { () throws(DocumentError) in
        let pattern = try StrategyPattern(text: mutated, source: "document")
        _ = pattern.completed(deviceCount: 8, flashAttention: true, overlap: true).text
      }
    }
  }

  /// Runs a reader and checks its complaint; whether it had none.
  @discardableResult
  private func check(_ reader: Reader?, _ comment: String, _ read: () throws(DocumentError) -> Void) -> Bool {
    do throws(DocumentError) {
      try read()
      return true
    } catch {
      let sentence = error.description
      let place = "\(reader?.name ?? "strategy"), \(comment): \(sentence.prefix(300))"
      // A file that a document names is a source of its own, and so is a run record, by its id.
      #expect(error.source == "document" || reader?.readsOthers == true, "\(place)")
      #expect(sentence.hasPrefix("\(error.source.oneLine): "), "\(place)")
      #expect(sentence.count <= 600, "\(place)")
      let breaks = sentence.unicodeScalars.filter {
        [.control, .lineSeparator, .paragraphSeparator].contains($0.properties.generalCategory)
      }
      #expect(breaks.isEmpty, "\(place)")
      return false
    }
  }

  // MARK: Documents to start from

  private static func inputs(_ folder: String) -> String { "Tests/DocumentsTests/Inputs/\(folder)" }
  private static func examples(_ name: String) -> String { inputs("examples/\(name).json") }

  private static func clusters() -> [JSON] {
    let names = Checkout.names(in: "Clusters").filter { !$0.hasSuffix("-128") }
    let examples = [Self.examples("cluster"), Self.examples("cluster-of-names")]
    return names.compactMap { try? Shipped.catalog.cluster($0).json } + documents(examples)
  }

  private static func runs() -> [JSON] {
    documents([examples("run")]).map { $0.replacing("/cluster/device", with: .string("a100-sxm4-80gb")) }
  }

  /// The documents at some paths of the checkout: files, or all of a folder.
  private static func documents(_ paths: [String]) -> [JSON] {
    paths.flatMap { path in
      path.hasSuffix(".json") ? [path] : Checkout.names(in: path).map { "\(path)/\($0).json" }
    }.map { (try? Checkout.json($0)) ?? .null }
  }
}
