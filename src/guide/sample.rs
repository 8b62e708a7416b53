//! Sample files of both source systems' forms, of made-up people.

/// A form.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sample {
    /// Mention Me's: one mandatory column.
    EmailCsv,
    /// Advocate's, as CSV.
    ParticipantCsv,
    /// Advocate's, an object a line.
    ParticipantJsonl,
}

impl Sample {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::EmailCsv, Self::ParticipantCsv, Self::ParticipantJsonl];

    /// The name of its file.
    #[must_use]
    pub fn file_name(self) -> &'static str {
        match self {
            Self::EmailCsv => "sample-email.csv",
            Self::ParticipantCsv => "sample-participants.csv",
            Self::ParticipantJsonl => "sample-participants.jsonl",
        }
    }

    /// Its text, ending with a line end.
    #[must_use]
    pub fn content(self) -> &'static str {
        match self {
            Self::EmailCsv => "Customer Email\nann@example.com\nbob@example.org\n",
            Self::ParticipantCsv => {
                "accountId,id,preserveEmptyAccount,doNotTrack\n\
                 account-17,user-4,,\n\
                 account-17,user-5,true,\n\
                 account-18,user-6,false,true\n"
            }
            Self::ParticipantJsonl => {
                "{\"accountId\":\"account-17\",\"id\":\"user-4\"}\n\
                 {\"accountId\":\"account-17\",\"id\":\"user-5\",\"preserveEmptyAccount\":true}\n\
                 {\"accountId\":\"account-18\",\"id\":\"user-6\",\"preserveEmptyAccount\":false,\"doNotTrack\":true}\n"
            }
        }
    }
}
