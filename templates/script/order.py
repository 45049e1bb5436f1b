from torch.utils.data import Sampler


class RunOrder(Sampler):
    """Rows in the order of the run: of the seed and the epoch only."""

    def __init__(self, lengths, batch_size):
        self.lengths, self.batch_size, self.epoch = lengths, batch_size, 0

    def set_epoch(self, epoch):
        self.epoch = epoch

    def __len__(self):
        return len(self.lengths)

    def __iter__(self):
        yield from epoch_order(self.lengths, seed=SEED, epoch=self.epoch, shuffle=SHUFFLE,
                               batch_size=self.batch_size)


class InOrder:
    """Mixed in front of a trainer: it sees the rows in the order of the run."""

    lengths = ()

    def _get_train_sampler(self, train_dataset=None):
        return RunOrder(self.lengths, self.args.train_batch_size if GROUP_BY_LENGTH else None)

    def _prepare_dataset(self, dataset, *args, **kwargs):
        return dataset  # the rows are tokens already
