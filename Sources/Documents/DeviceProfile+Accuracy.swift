import JSONText

extension DeviceProfile {
  /// How far measured iteration times were from predictions by fits that had not seen their models.
  ///
  /// An entry is of some runs on the device; the entry that states most of what holds counts.
  package struct Accuracy: Sendable, Equatable {
    /// Some of a device's runs: those of a framework, of models with or without experts, on one node or on several; what is
    /// not stated it is of all.
    package struct Scope: Sendable, Equatable {
      /// Of runs under this framework alone.
      package let framework: String?
      /// Of models with experts, or of those without.
      package let hasExperts: Bool?
      /// Of runs on several nodes, or on one.
      package let spansNodes: Bool?

      package init(framework: String?, hasExperts: Bool?, spansNodes: Bool?) {
        self.framework = framework
        self.hasExperts = hasExperts
        self.spansNodes = spansNodes
      }

      /// All of them.
      package static let all = Scope(framework: nil, hasExperts: nil, spansNodes: nil)

      /// How many things it states.
      fileprivate var detail: Int {
        (framework == nil ? 0 : 4) + (hasExperts == nil ? 0 : 2) + (spansNodes == nil ? 0 : 1)
      }

      /// Whether all of the other's runs are among its own.
      package func includes(_ other: Scope) -> Bool {
        (framework ?? other.framework) == other.framework && (hasExperts ?? other.hasExperts) == other.hasExperts
          && (spansNodes ?? other.spansNodes) == other.spansNodes
      }
    }

    /// Which runs.
    package let scope: Scope
    /// Runs that told it.
    package let runCount: Int
    /// e: nine in ten runs took between t / (1 + e) and t · (1 + e), where t was predicted.
    package let errorBound: Double
    /// Of two strategies of one job whose predicted times differ by this share or more, the quicker one was the quicker one
    /// in nine of ten pairs that were measured; nil where too few pairs were.
    package let resolution: Double?

    package init(_ scope: Scope, runCount: Int, errorBound: Double, resolution: Double?) {
      self.scope = scope
      self.runCount = runCount
      self.errorBound = errorBound
      self.resolution = resolution
    }

    /// Where nine in ten times lie of which so many seconds are predicted.
    package func range(around seconds: Double) -> ClosedRange<Double> {
      seconds / (1 + errorBound)...seconds * (1 + errorBound)
    }

    /// Where a device's runs have told nothing of a framework that others' have: what nine in ten runs stay within that a
    /// sibling's coefficients predict. Of 109 runs on B200, B300 and GB200, predicted from H100's by the rules for devices that
    /// only a datasheet describes (`docs/clusters-and-devices.md`), half are within 7 % and nine in ten within 16 %; with
    /// four of torchtitan among them within 18 %.
    package static let ofSiblings = Accuracy(.all, runCount: 0, errorBound: 0.18, resolution: nil)

    /// Frameworks of these runs.
    private static let frameworksOfSiblings: Set = ["megatron-bridge", "nemo"]

    /// Where nobody has left a framework's runs out: of 153 such runs of thirteen sources 31 % hold 88 in a hundred.
    package static let ofFrameworks = Accuracy(.all, runCount: 0, errorBound: 0.31, resolution: nil)

    /// The entry of a list that states most of what holds of some runs; where none does ``ofSiblings`` or ``ofFrameworks``.
    package static func best(of all: [Accuracy], for runs: Scope) -> Accuracy {
      all.filter { $0.scope.includes(runs) }.max { $0.scope.detail < $1.scope.detail }
        ?? (frameworksOfSiblings.contains(runs.framework ?? "") ? .ofSiblings : .ofFrameworks)
    }
  }
}

extension ClusterDescription {
  /// How far predictions of such runs are to be trusted: of several models of device, on the one of which least is known.
  package func accuracy(for runs: DeviceProfile.Accuracy.Scope) -> DeviceProfile.Accuracy {
    devices.map { DeviceProfile.Accuracy.best(of: $0.accuracy, for: runs) }
      .max { $0.errorBound < $1.errorBound } ?? .ofFrameworks
  }

  /// The difference of predictions down to which measured strategies of one job were ordered rightly, see
  /// ``DeviceProfile/Accuracy/resolution``: by the entry with one that states most of what holds, and of several models of
  /// device the largest; nil where too few runs competed.
  package func resolution(for runs: DeviceProfile.Accuracy.Scope) -> Double? {
    devices.compactMap { device in
      DeviceProfile.Accuracy.best(of: device.accuracy.filter { $0.resolution != nil }, for: runs).resolution
    }.max()
  }
}

extension DeviceProfile.Accuracy {
  init(_ field: Field) throws(DocumentError) {
    var fields = try field.fields()
    scope = Scope(
      framework: try fields.optional("framework")?.name(), hasExperts: try fields.optional("experts")?.boolean(),
      spansNodes: try fields.optional("several_nodes")?.boolean())
    runCount = try fields.required("runs").integer(in: 1...1_000_000_000)
    errorBound = try fields.required("error_90").number(in: 0...100, expected: "a number from 0 to 100")
    resolution = try fields.optional("resolution")?.number(in: 0...100, expected: "a number from 0 to 100")
    try fields.finish()
  }

  var json: JSON {
    object(
      ("framework", scope.framework.map(JSON.string)), ("experts", scope.hasExperts.map(JSON.boolean)),
      ("several_nodes", scope.spansNodes.map(JSON.boolean)), ("runs", .integer(runCount)),
      ("error_90", .number(errorBound)),
      ("resolution", resolution.map(JSON.number)))
  }
}
